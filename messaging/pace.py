"""How many calls of one number may be in flight: what its rate and its latency ask for."""

from __future__ import annotations

import math

from messaging.models import PhoneNumber

# A call is taken to last this long until some have been answered, seconds.
FIRST_LATENCY_SECONDS = 0.35
# Each answer moves the known latency by this share towards its own.
WEIGHT = 0.05
# An answer waits up to this long to be recorded and replaced by a new call, seconds.
TURNAROUND_SECONDS = 0.1
# A slow provider does not make the calls in flight grow beyond what this latency needs, seconds.
LONGEST_LATENCY_SECONDS = 5.0


class Pace:
    """Remembers the latency of each number; belongs to one thread."""

    def __init__(self) -> None:
        self._latency: dict[int, float] = {}

    def note(self, number_id: int, seconds: float) -> None:
        """Take in how long a call lasted that was answered."""
        known = self._latency.get(number_id, seconds)
        self._latency[number_id] = known + WEIGHT * (seconds - known)

    def ceiling(self, number: PhoneNumber) -> int:
        """Return how many calls of the number may be in flight at once.

        By Little's law rate times latency: 80 messages/s answered after 350 ms keep 28 calls
        in flight; what a turn of the dispatcher takes is added.
        """
        latency = min(self._latency.get(number.pk, FIRST_LATENCY_SECONDS), LONGEST_LATENCY_SECONDS)
        return max(1, math.ceil(number.messages_per_second * (latency + TURNAROUND_SECONDS)))
