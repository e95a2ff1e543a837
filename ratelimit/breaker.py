"""Keeping away from a server that is away: one short time-out, then nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic


class Breaker:
    """Closed while calls succeed; after a failure open for a while, then one call tries again."""

    def __init__(self, rest: float, clock: Callable[[], float] = monotonic) -> None:
        self._rest = rest  # seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._try_at = 0.0
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Say whether the last call failed."""
        return self._is_open

    @property
    def is_ready(self) -> bool:
        """Say whether ``may_try`` would allow a call now."""
        return not self._is_open or self._clock() >= self._try_at

    def may_try(self) -> bool:
        """Say whether to call now; while open, one caller in each rest is told so."""
        if not self._is_open:
            return True
        with self._lock:
            now = self._clock()
            if now < self._try_at:
                return False
            self._try_at = now + self._rest
            return True

    def failed(self) -> bool:
        """Open; say whether it was closed before."""
        with self._lock:
            was_closed, self._is_open = not self._is_open, True
            self._try_at = self._clock() + self._rest
        return was_closed

    def succeeded(self) -> bool:
        """Close; say whether it was open before."""
        if not self._is_open:
            return False
        with self._lock:
            was_open, self._is_open = self._is_open, False
        return was_open
