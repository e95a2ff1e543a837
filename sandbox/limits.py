"""Meta's limits as Meta enforces them: throughput of a number, and the pair limit."""

from __future__ import annotations

from collections import defaultdict, deque

# One message per 6 seconds and person; up to 45 may be borrowed from the future.
PAIR_SECONDS = 6.0
PAIR_BURST = 45
MOST_PAIRS = 200_000


class Throughput:
    """Counts sends in the last second, for each number."""

    def __init__(self) -> None:
        self.breaches = 0
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def allows(self, number: str, rate: int, now: float) -> bool:
        """Say whether one more send keeps any sliding second at rate × 1.05 + 1; count it."""
        times = self._times[number]
        while times and times[0] <= now - 1.0:
            times.popleft()
        if len(times) + 1 > rate * 1.05 + 1:
            self.breaches += 1
            return False
        times.append(now)
        return True


class Pairs:
    """Meta's pair limit as a debt that is paid back at one message per 6 seconds."""

    def __init__(self) -> None:
        self.breaches = 0
        self._free_at: dict[tuple[str, str], float] = {}

    def allows(self, number: str, person: str, now: float) -> bool:
        """Say whether one more send to the person stays within the burst; count it."""
        key = (number, person)
        free_at = max(self._free_at.get(key, now), now)
        if free_at - now > PAIR_SECONDS * (PAIR_BURST - 1):
            self.breaches += 1
            return False
        if len(self._free_at) >= MOST_PAIRS:
            self._free_at = {k: at for k, at in self._free_at.items() if at > now}
        self._free_at[key] = free_at + PAIR_SECONDS
        return True
