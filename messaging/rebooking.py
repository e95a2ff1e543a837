"""New start slots for calls that missed theirs, asked for beside the thread that sends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from messaging.providers.base import Outgoing, steady_seconds

logger = logging.getLogger(__name__)

# Without new slots, as while the database is away, they are asked for again after this, seconds.
ASK_AGAIN_SECONDS = 1.0
# A stall makes many calls late one after the other: those of so long are booked together.
GATHER_SECONDS = 0.1
# Slots are asked for that come later than calls have been late of late, by this factor.
MARGIN = 2.0
LONGEST_LEAD_SECONDS = 2.0

# From the keys of calls, and the seconds to leave before the first, to slots by steady_seconds().
BookAgain = Callable[[Sequence[str], float], dict[str, float]]


class Rebooking:
    """Takes late calls from one thread and hands them back, with new slots, to the same."""

    def __init__(self, book_again: BookAgain, hand_back: Callable[[list[Outgoing]], None]) -> None:
        self._book_again = book_again
        self._hand_back = hand_back
        self._asked: SimpleQueue[tuple[list[Outgoing], float] | None] = SimpleQueue()
        self._took = 0.0  # how long booking took the last time, seconds
        self._away = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return how many calls it has."""
        with self._lock:
            return self._away

    def ask(self, missed: list[Outgoing], lateness: float) -> None:
        """Have new slots found; ``lateness`` tells how much the sending thread lags, seconds."""
        with self._lock:
            self._away += len(missed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rebooking", daemon=True)
            self._thread.start()
        self._asked.put((missed, lateness))

    def close(self) -> None:
        """End the thread once it has nothing left."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            calls, lateness = list(asked[0]), asked[1]
            threading.Event().wait(GATHER_SECONDS)
            try:
                while (more := self._asked.get_nowait()) is not None:
                    calls += more[0]
                    lateness = max(lateness, more[1])
            except Empty:
                more = (calls, lateness)
            self._find(calls, lateness)
            if more is None:
                return

    def _find(self, calls: list[Outgoing], lateness: float) -> None:
        """Ask until each has a slot, or its deadline has passed and it needs none."""
        while calls:
            begun = steady_seconds()
            lead = min(MARGIN * lateness + self._took, LONGEST_LEAD_SECONDS)
            slots = self._try(calls, lead)
            self._took = steady_seconds() - begun
            now = steady_seconds()
            ready = [
                replace(call, start_at=slots.get(call.key, now))
                for call in calls
                if call.key in slots or now >= call.deadline
            ]
            calls = [call for call in calls if call.key not in slots and now < call.deadline]
            with self._lock:
                self._away -= len(ready)
            self._hand_back(ready)
            if calls:
                threading.Event().wait(ASK_AGAIN_SECONDS)

    def _try(self, calls: list[Outgoing], lead: float) -> dict[str, float]:
        """Ask once; whatever breaks, this thread goes on, for nobody else has its calls."""
        try:
            return self._book_again([call.key for call in calls], lead)
        except Exception:
            logger.exception("Booking new start slots broke down; it is tried again")
            return {}
