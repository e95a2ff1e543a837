"""A provider with a thread of its own, so that calls go on while the database is asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from messaging.departures import Departures
from messaging.providers.base import Outgoing, Provider, Result, steady_seconds
from messaging.rebooking import BookAgain, Rebooking

logger = logging.getLogger(__name__)

# A call takes its connect and read time-outs at most; nothing is waited for longer, seconds.
IDLE_SECONDS = 60.0
CLOSE_SECONDS = 45.0


class Courier:
    """Takes batches from any thread and delivers results in groups, as they come in."""

    def __init__(
        self,
        provider: Provider,
        deliver: Callable[[list[Result]], None],
        book_again: BookAgain,
    ) -> None:
        self._provider = provider
        self._deliver = deliver
        self._departures = Departures()
        self._rebooking = Rebooking(book_again, self.send)
        self._batches: SimpleQueue[Sequence[Outgoing]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Say whether it still works; one that broke down is replaced."""
        return self._thread.is_alive()

    @property
    def lateness(self) -> float:
        """Return how late calls began, at worst, a while ago; seconds."""
        return self._departures.lateness

    def send(self, batch: Sequence[Outgoing]) -> None:
        """Have the batch sent."""
        self._batches.put(batch)
        self._provider.wake()

    def close(self) -> None:
        """Let the calls in flight finish and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._provider.wake()
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._is_done():
                self._take_in()
                self._start_due()
                wait = self._departures.wait(steady_seconds(), IDLE_SECONDS)
                results = self._provider.finished(wait)
                if results:
                    self._deliver(results)
            self._rebooking.close()
            self._provider.close()
        except Exception:
            # What was in flight is found by the rescue when its lease runs out.
            logger.exception("The sending thread broke down")
            self._deliver([])

    def _is_done(self) -> bool:
        # In this order: what is handed back is counted here before it is missing there.
        idle = not (self._rebooking or self._departures or self._provider.in_flight)
        return self._closing.is_set() and idle and self._batches.empty()

    def _start_due(self) -> None:
        going, missed = self._departures.due(steady_seconds())
        self._provider.start(going)
        if missed:
            self._rebooking.ask(missed, self._departures.lateness)

    def _take_in(self) -> None:
        try:
            while True:
                self._departures.add(self._batches.get_nowait())
        except Empty:
            return
