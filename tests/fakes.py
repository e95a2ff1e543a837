"""Stand-ins at the border: a provider whose answers a test writes down beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from messaging.providers.base import Outcome, Outgoing, Result

Script = Callable[[Outgoing], Result]

_serial = itertools.count(1)


def accepted(outgoing: Outgoing) -> Result:
    wamid = f"wamid.{next(_serial)}"
    return Result(outgoing.key, Outcome.ACCEPTED, provider_message_id=wamid, http_status=200)


class ScriptedProvider:
    """Answers every call by its script and remembers what it was given."""

    def __init__(self) -> None:
        self.script: Script = accepted
        self.sent: list[Outgoing] = []
        self._answered: SimpleQueue[Result | None] = SimpleQueue()  # None: woken

    @property
    def in_flight(self) -> int:
        return self._answered.qsize()

    def start(self, batch: Sequence[Outgoing]) -> None:
        self.sent += batch
        for outgoing in batch:
            self._answered.put(self.script(outgoing))

    def finished(self, wait: float) -> list[Result]:
        try:
            first = self._answered.get(timeout=wait)
        except Empty:
            return []
        return [] if first is None else [first]

    def wake(self) -> None:
        self._answered.put(None)

    def close(self) -> None:
        return None

    def answer(self, outcome: Outcome, **fields: object) -> None:
        """Give every call from now on this answer."""
        self.script = lambda outgoing: Result(outgoing.key, outcome, **fields)  # type: ignore[arg-type]
