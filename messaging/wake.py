"""Telling the workers that there is work: a hint that may be lost and must cost nothing."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from celery import current_app
from django.db import connection, transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

SEND = "messaging.send_due"
RECEIPTS = "messaging.apply_receipts"
TEMPLATES = "messaging.sync_templates"

# After a failed hint nobody tries the broker for this long, seconds: the workers find the work
# by themselves.
QUIET_SECONDS = 5.0
# Hints follow each other no closer than this, seconds: one in between adds nothing.
DEBOUNCE_SECONDS = 0.1

_listeners: dict[str, Callable[[], None]] = {}


class _Messenger:
    """Publishes hints from a thread of its own, so that no request waits for the broker."""

    def __init__(self, publish: Callable[[str], bool]) -> None:
        self._publish = publish  # says whether the broker took the hint
        self._asked: set[str] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def ask(self, task: str) -> None:
        """Have the hint sent soon; many at once are one."""
        with self._condition:
            self._asked.add(task)
            # A forked process has the object, but not the thread.
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._run, name="messenger", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._asked)
                asked, self._asked = self._asked, set()
            for task in sorted(asked):
                _pause.wait(DEBOUNCE_SECONDS if self._publish(task) else QUIET_SECONDS)


_pause = threading.Event()  # never set: only waited for


def listen(task: str, look: Callable[[], None]) -> None:
    """Have ``look`` called when a hint of this kind reaches this process."""
    _listeners[task] = look


def ring(task: str) -> bool:
    """Pass a hint on to who listens in this process; say whether anybody does."""
    look = _listeners.get(task)
    if look is not None:
        look()
    return look is not None


def on_commit(task: str) -> None:
    """Send the hint once the transaction around is committed; never raises."""
    if connection.in_atomic_block:
        transaction.on_commit(lambda: now(task), robust=True)
    else:
        # on_commit would open a connection, and this thread may have let another one write.
        now(task)


def now(task: str) -> None:
    """Send the hint soon, by another thread; never waits and never raises."""
    _messenger.ask(task)


def _publish(task: str) -> bool:
    """Publish the hint; say whether the broker took it."""
    try:
        # A hint nobody took within a minute is stale: the ticker was there before.
        current_app.send_task(task, retry=False, expires=60)
    except (OperationalError, OSError) as error:
        logger.warning("Broker away (%s): workers find the work", type(error).__name__)
        return False
    return True


_messenger = _Messenger(_publish)
