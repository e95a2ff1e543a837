"""The clock every worker process carries, so that a dead broker stops nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from messaging import draining, receipts, rescue, wake
from messaging.dispatcher import Dispatcher

logger = logging.getLogger(__name__)

# How long a stop waits for the calls in flight, seconds: connect + read time-outs and the record.
STOP_SECONDS = 45.0


class Ticker:
    """Threads that look for work once in a while, whether or not anybody called."""

    def __init__(self) -> None:
        jobs: list[tuple[str, Callable[[], int], float]] = [
            ("receipts", receipts.apply_pending, settings.OUTBOUND_TICK_SECONDS),
            ("rescue", rescue.rescue_overdue, settings.OUTBOUND_RESCUE_SECONDS),
        ]
        self._dispatcher = Dispatcher()
        self._threads = [
            threading.Thread(target=self._dispatch, name="dispatcher", daemon=True),
            *[
                threading.Thread(target=_run, args=(job, every), name=name, daemon=True)
                for name, job, every in jobs
            ],
        ]

    def start(self) -> None:
        """Start looking."""
        draining.stopping.clear()
        wake.listen(self._dispatcher.look)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more and wait for the calls in flight."""
        draining.stopping.set()
        self._dispatcher.stop()
        end = monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - monotonic()))

    def _dispatch(self) -> None:
        """Run the dispatcher; whatever breaks it, it begins again."""
        while True:
            try:
                self._dispatcher.run()
            except Exception:
                logger.exception("The dispatcher broke down; it begins again")
                draining.stopping.wait(settings.OUTBOUND_TICK_SECONDS)
            else:
                return


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
