"""The clock every worker process carries, so that a dead broker stops nothing."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from messaging import chores, draining, receipts, rescue, tracing, wake
from messaging.dispatcher import Dispatcher
from orgs import collector, measures

logger = logging.getLogger(__name__)

# How long a stop waits for the calls in flight, seconds: connect + read time-outs and the record.
STOP_SECONDS = 45.0
# Chores are looked for once in so many ticks: the claim asks for consent by itself.
CHORES_EVERY = 5
# A thread that computes lets others have the interpreter after so many seconds. At Python's own
# 0.005 the sending thread, which gives it up with each of its many short waits, comes too late
# for most start slots.
SWITCH_SECONDS = 0.0005
# Webhooks, too: whoever stores one sends a hint.
RECEIPTS_EVERY = 2


class Ticker:
    """Threads that look for work once in a while, whether or not anybody called."""

    def __init__(self) -> None:
        self._dispatcher = Dispatcher()
        self._receipts = _Job(
            receipts.apply_pending, RECEIPTS_EVERY * settings.OUTBOUND_TICK_SECONDS
        )
        self._rescue = _Job(rescue.rescue_overdue, settings.OUTBOUND_RESCUE_SECONDS)
        self._chores = _Job(chores.do_some, CHORES_EVERY * settings.OUTBOUND_TICK_SECONDS)
        work = {
            "dispatcher": self._dispatch,
            "receipts": self._receipts.run,
            "rescue": self._rescue.run,
            "chores": self._chores.run,
        }
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True) for name, run in work.items()
        ]

    def start(self) -> None:
        """Start looking."""
        draining.stopping.clear()
        measures.start()
        tracing.start()
        wake.listen(wake.SEND, self._dispatcher.look)
        wake.listen(wake.RECEIPTS, self._receipts.look)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more and wait for the calls in flight."""
        draining.stopping.set()
        self._dispatcher.stop()
        self._receipts.look()
        self._rescue.look()
        self._chores.look()
        end = monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - monotonic()))
        measures.stop()
        tracing.stop()

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


class _Job:
    """A batch job and its own thread: it runs once in a while, and at once when asked."""

    def __init__(self, job: Callable[[], int], every: float) -> None:
        self._job = job
        self._every = every
        self._wanted = threading.Event()

    def look(self) -> None:
        """End the pause; from any thread."""
        self._wanted.set()

    def run(self) -> None:
        """Run the job until the process is to stop; whatever fails, the next turn goes on."""
        while not draining.stopping.is_set():
            self._wanted.clear()
            try:
                draining.drain(self._job)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Database away (%s); looking again soon", type(error).__name__)
            except Exception:
                logger.exception("A batch failed; looking again soon")
            finally:
                connection.close()
            if draining.stopping.is_set():
                return
            self._wanted.wait(self._every)


class TickerStep(bootsteps.StartStopStep):
    """Start the ticker with the worker, before and without the broker."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._ticker: Ticker | None = None

    def start(self, _parent: Any) -> None:
        """Begin with the worker."""
        collector.settle()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._ticker = Ticker()
        self._ticker.start()

    def stop(self, _parent: Any) -> None:
        """End with the worker, after the calls in flight."""
        if self._ticker is not None:
            self._ticker.stop()
