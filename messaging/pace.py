"""How many calls of one number may be in flight: what its rate and its latency ask for.

Those that wait for their start slots count among them.
"""

from __future__ import annotations

import math

from messaging.models import PhoneNumber
from messaging.providers.base import steady_seconds
from ratelimit.rules import HORIZON, SECOND

# A call is taken to last this long until some have been answered, seconds.
FIRST_LATENCY_SECONDS = 0.35
# Each answer moves the known latency by this share towards its own.
WEIGHT = 0.05
# An answer waits up to this long to be recorded and replaced by a new call, seconds.
TURNAROUND_SECONDS = 0.1
# A call is claimed up to this long before its start slot, seconds.
AHEAD_SECONDS = HORIZON / SECOND
# Claiming one message takes about as long as claiming so many.
FEW_MESSAGES = 20
# A claim that took long is remembered for some more, but not for ever.
LAG_MEMORY = 0.95
LAG_MARGIN = 1.5
LONGEST_LEAD_SECONDS = 0.2
# A slow provider does not make the calls in flight grow beyond what this latency needs, seconds.
LONGEST_LATENCY_SECONDS = 5.0


class Pace:
    """Remembers the latency of each number, and which of its start slots are taken."""

    def __init__(self) -> None:
        self._latency: dict[int, float] = {}
        self._booked: dict[int, float] = {}
        self._lag = 0.0

    def note(self, number_id: int, seconds: float) -> None:
        """Take in how long a call lasted that was answered."""
        known = self._latency.get(number_id, seconds)
        self._latency[number_id] = known + WEIGHT * (seconds - known)

    def note_booked(self, number_id: int, until: float) -> None:
        """Take in which start slot is the number's first free one, steady_seconds()."""
        self._booked[number_id] = until

    def note_lag(self, count: int, seconds: float) -> None:
        """Take in how long it was from the decision on a claim until its calls were handed over."""
        per_message = seconds * LAG_MARGIN / max(count, FEW_MESSAGES)
        self._lag = max(per_message, self._lag * LAG_MEMORY)

    def lead(self, count: int) -> float:
        """Return how long it will be, seconds, for a claim of so many messages.

        A start slot that comes sooner would be missed.
        """
        return min(self._lag * max(count, FEW_MESSAGES), LONGEST_LEAD_SECONDS)

    def room(self, number: PhoneNumber) -> int:
        """Return how many start slots are to be had now, as far as this process knows.

        More would be looked at, or locked, in vain.
        """
        now = steady_seconds()
        ahead = now + AHEAD_SECONDS - max(now, self._booked.get(number.pk, 0.0))
        return max(0, math.floor(ahead * number.messages_per_second) + 1) if ahead >= 0 else 0

    def ceiling(self, number: PhoneNumber) -> int:
        """Return how many calls of the number may be in flight at once.

        By Little's law rate times latency: 80 messages/s answered after 350 ms keep 28 calls
        in flight; what a turn of the dispatcher takes, and the wait for the slot, are added.
        """
        latency = min(self._latency.get(number.pk, FIRST_LATENCY_SECONDS), LONGEST_LATENCY_SECONDS)
        seconds = latency + TURNAROUND_SECONDS + AHEAD_SECONDS
        return max(1, math.ceil(number.messages_per_second * seconds))
