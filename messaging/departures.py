"""Calls that wait for their start slots."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

from messaging.providers.base import Outgoing
from ratelimit.rules import CLOCK_SLACK, GRACE, SECOND

GRACE_SECONDS = (GRACE - CLOCK_SLACK) / SECOND
# Beginning a call takes a good part of a millisecond where threads compete: no more of them go
# before the time is looked at again.
MOST_AT_ONCE = 32
# At a thousand starts a second each would wake the thread: those of so many seconds go together.
GATHER_SECONDS = 0.004
# How much of a lateness is remembered at the next look.
LATENESS_MEMORY = 0.98


class Departures:
    """Lets each call go at its start slot, never before; belongs to one thread.

    A slot is good for a moment only, or what a stalled process sends late would meet what
    others send on time: a call that misses its slot must get another.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Outgoing]] = []
        self._serial = itertools.count()
        self.lateness = 0.0  # how late calls were, at worst, a while ago; seconds

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, batch: Sequence[Outgoing]) -> None:
        """Have the calls go in their time."""
        for outgoing in batch:
            heapq.heappush(self._waiting, (outgoing.start_at, next(self._serial), outgoing))

    def due(self, now: float) -> tuple[list[Outgoing], list[Outgoing]]:
        """Return calls whose slot has come, and those that missed theirs.

        The former are so few that they begin while ``now`` is true.
        """
        going: list[Outgoing] = []
        missed: list[Outgoing] = []
        worst = 0.0
        while self._waiting and self._waiting[0][0] <= now and len(going) < MOST_AT_ONCE:
            start_at, _, outgoing = heapq.heappop(self._waiting)
            late = now - start_at
            worst = max(worst, late if start_at else 0.0)
            # After its deadline the provider will not send it: that needs no slot.
            in_time = late <= GRACE_SECONDS or now >= outgoing.deadline
            (going if in_time else missed).append(outgoing)
        if going or missed:
            self.lateness = max(worst, self.lateness * LATENESS_MEMORY)
        return going, missed

    def wait(self, now: float, most: float) -> float:
        """Return the time until it is worth looking for due calls, at most so many seconds."""
        if not self._waiting:
            return most
        first = self._waiting[0][0] - now
        return min(most, max(GATHER_SECONDS, first)) if first > 0 else 0.0
