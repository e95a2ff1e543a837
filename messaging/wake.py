"""Telling the workers that there is work: a hint that may be lost and must cost nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

SEND = "messaging.send_due"
RECEIPTS = "messaging.apply_receipts"

# After a failed hint nobody tries the broker for this long, seconds: publishing to a dead
# broker blocks for up to some seconds, and the workers find the work by themselves.
QUIET_SECONDS = 5.0
# A hint that follows another closer than this adds nothing, seconds.
DEBOUNCE_SECONDS = 0.05

_listeners: list[Callable[[], None]] = []
_lock = threading.Lock()
_next_allowed: dict[str, float] = {}
_quiet_until = 0.0


def listen(look: Callable[[], None]) -> None:
    """Have ``look`` called when a hint reaches this process."""
    _listeners[:] = [look]


def ring() -> None:
    """Pass a hint on to whoever listens in this process."""
    for look in _listeners:
        look()


def on_commit(task: str) -> None:
    """Send the hint once the transaction around is committed; never raises."""
    transaction.on_commit(lambda: now(task), robust=True)


def now(task: str) -> None:
    """Send the hint unless one has just been sent or the broker is known to be away."""
    global _quiet_until  # noqa: PLW0603 - one breaker for the process
    with _lock:
        moment = monotonic()
        if moment < _quiet_until or moment < _next_allowed.get(task, 0.0):
            return
        _next_allowed[task] = moment + DEBOUNCE_SECONDS
    try:
        # A hint nobody took within a minute is stale: the ticker was there before.
        current_app.send_task(task, retry=False, expires=60)
    except (OperationalError, OSError) as error:
        with _lock:
            _quiet_until = monotonic() + QUIET_SECONDS
        logger.warning("Broker away (%s): workers find the work", type(error).__name__)
