"""The clock every worker process carries, so that a dead broker stops nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from messaging import dispatch, draining, receipts, rescue

logger = logging.getLogger(__name__)

# Two, so that one call that hangs until its time-out does not hold up everybody else.
DISPATCHERS = 2
# How long a stop waits for the calls in flight, seconds: connect + read time-outs and the record.
STOP_SECONDS = 45.0


class Ticker:
    """Threads that look for work once in a while, whether or not anybody called."""

    def __init__(self) -> None:
        tick = settings.OUTBOUND_TICK_SECONDS
        jobs: list[tuple[str, Callable[[], int], float]] = [
            *[(f"dispatch-{n}", dispatch.send_due, tick) for n in range(DISPATCHERS)],
            ("receipts", receipts.apply_pending, tick),
            ("rescue", rescue.rescue_overdue, settings.OUTBOUND_RESCUE_SECONDS),
        ]
        self._threads = [
            threading.Thread(target=_run, args=(job, every), name=name, daemon=True)
            for name, job, every in jobs
        ]

    def start(self) -> None:
        """Start looking."""
        draining.stopping.clear()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more and wait for the calls in flight."""
        draining.stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_SECONDS)


def _run(job: Callable[[], int], every: float) -> None:
    while not draining.stopping.is_set():
        try:
            draining.drain(job)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Database away (%s); looking again soon", type(error).__name__)
        except Exception:
            logger.exception("A batch failed; looking again soon")
        finally:
            connection.close()
        draining.stopping.wait(every)


class TickerStep(bootsteps.StartStopStep):
    """Start the ticker with the worker, before and without the broker."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._ticker: Ticker | None = None

    def start(self, _parent: Any) -> None:
        """Begin with the worker."""
        self._ticker = Ticker()
        self._ticker.start()

    def stop(self, _parent: Any) -> None:
        """End with the worker, after the calls in flight."""
        if self._ticker is not None:
            self._ticker.stop()
