"""The thread every worker process carries: it sends notices, and watches beat.

Neither a dead broker nor a dead beat keeps anybody from being told.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from alerts import checking, delivery
from messaging import wake
from messaging.draining import drain

logger = logging.getLogger(__name__)

# Notices that are due are looked for this often, seconds.
LOOK_EVERY = 10.0
# Beat runs the checks; whether beat runs is checked by the workers, this often.
WATCH_EVERY = 60.0
WATCHED = "processes"
STOP_SECONDS = 15.0


class Watch:
    """Looks for notices to send and for beat."""

    def __init__(self) -> None:
        self._wanted, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        # A beat that is being started with us has a moment to be seen.
        self._watch_at = monotonic() + 2 * WATCH_EVERY

    def start(self) -> None:
        """Start looking."""
        wake.listen(delivery.DELIVER, self._wanted.set)
        self._thread.start()

    def stop(self) -> None:
        """Stop after what is being sent; the rest is sent by another process, or later."""
        self._over.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._over.is_set():
            self._wanted.clear()
            self.look()
            if not self._over.is_set():
                self._wanted.wait(LOOK_EVERY)

    def look(self) -> None:
        """Look once; whatever fails, the next turn goes on."""
        try:
            if monotonic() >= self._watch_at:
                self._watch_at = monotonic() + WATCH_EVERY
                checking.run([WATCHED])
            if settings.OUTBOUND_ALERT_ENABLED:
                drain(delivery.deliver_due)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Database away (%s); looking again soon", type(error).__name__)
        except Exception:
            logger.exception("Alerts failed; looking again soon")
        finally:
            connection.close()


class WatchStep(bootsteps.StartStopStep):
    """Start the watch with the worker."""

    requires = ("messaging.ticker:TickerStep",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._watch: Watch | None = None

    def start(self, _parent: Any) -> None:
        """Begin with the worker."""
        self._watch = Watch()
        self._watch.start()

    def stop(self, _parent: Any) -> None:
        """End with the worker."""
        if self._watch is not None:
            self._watch.stop()
