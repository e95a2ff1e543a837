"""Calls that wait for their start slots."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence

from messaging.providers.base import Outgoing
from ratelimit.rules import GRACE, SECOND

GRACE_SECONDS = GRACE / SECOND
# Without new slots, as while the database is away, they are asked for again after this, seconds.
ASK_AGAIN_SECONDS = 1.0

# New slots begin this much later, seconds, doubling while they are missed again and again: on a
# machine that stalls, booking itself may take longer than a slot is good for.
LEAD_SECONDS = 0.05
LONGEST_LEAD_SECONDS = 1.6

BookAgain = Callable[[Sequence[str], float], dict[str, float]]


class Departures:
    """Lets each call go at its start slot, never before; belongs to one thread.

    A slot is good for a moment only, or what a stalled process sends late would meet what
    others send on time: a call that misses its slot gets another by ``book_again`` (keys of
    calls and the seconds to leave before the first; returns new slots by steady_seconds()).
    """

    def __init__(self, book_again: BookAgain) -> None:
        self._book_again = book_again
        self._waiting: list[tuple[float, int, Outgoing, bool]] = []  # the last: it has a slot
        self._serial = itertools.count()
        self._lead = LEAD_SECONDS

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, batch: Sequence[Outgoing]) -> None:
        """Have the calls go in their time."""
        for outgoing in batch:
            self._push(outgoing.start_at, outgoing)

    def due(self, now: float) -> list[Outgoing]:
        """Return the calls whose slot has come."""
        going: list[Outgoing] = []
        missed: list[Outgoing] = []
        while self._waiting and self._waiting[0][0] <= now:
            start_at, _, outgoing, has_slot = heapq.heappop(self._waiting)
            in_time = has_slot and now - start_at <= GRACE_SECONDS
            # After its deadline the provider will not send it: that needs no slot.
            (going if in_time or now >= outgoing.deadline else missed).append(outgoing)
        if going:
            self._lead = LEAD_SECONDS
        if missed:
            slots = self._book_again([outgoing.key for outgoing in missed], self._lead)
            self._lead = min(2 * self._lead, LONGEST_LEAD_SECONDS)
            for outgoing in missed:
                slot = slots.get(outgoing.key)
                again_at = now + ASK_AGAIN_SECONDS if slot is None else slot
                self._push(again_at, outgoing, has_slot=slot is not None)
        return going

    def wait(self, now: float, most: float) -> float:
        """Return the time until the next slot, at most so many seconds."""
        return min(most, max(0.0, self._waiting[0][0] - now)) if self._waiting else most

    def _push(self, start_at: float, outgoing: Outgoing, *, has_slot: bool = True) -> None:
        heapq.heappush(self._waiting, (start_at, next(self._serial), outgoing, has_slot))
