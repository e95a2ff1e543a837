"""What one worker process has under way: calls at the provider, and answers being recorded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from messaging.claims import Claimed
from messaging.dispatch import Answered
from messaging.providers.base import Result


class InFlight:
    """Counts messages from their claim to their record; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, Claimed] = {}
        self._answered = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls) + self._answered

    @property
    def calls(self) -> int:
        """Return how many calls have not been answered."""
        with self._lock:
            return len(self._calls)

    def by_number(self) -> Counter[int]:
        """Count the calls by the pk of their number."""
        with self._lock:
            return Counter(message.phone_number_id for message in self._calls.values())

    def add(self, messages: Iterable[tuple[str, Claimed]]) -> None:
        """Count messages, by the keys of their calls, before these begin."""
        with self._lock:
            self._calls.update(messages)

    def messages(self, keys: Iterable[str]) -> dict[str, Claimed]:
        """Return the messages of these calls, by key; those nobody waits for are left out."""
        with self._lock:
            return {key: self._calls[key] for key in keys if key in self._calls}

    def answered(self, results: Sequence[Result]) -> list[Answered]:
        """Pair results with their messages; one nobody waits for is left out."""
        with self._lock:
            found = [
                (message, result)
                for result in results
                if (message := self._calls.pop(result.key, None)) is not None
            ]
            self._answered += len(found)
        return found

    def recorded(self, count: int) -> None:
        """Note that so many answers are written, or given up."""
        with self._lock:
            self._answered -= count

    def drop(self, channels: Iterable[str]) -> None:
        """Stop waiting for the calls of channels whose courier broke down."""
        lost = set(channels)
        with self._lock:
            self._calls = {
                key: message for key, message in self._calls.items() if message.channel not in lost
            }
