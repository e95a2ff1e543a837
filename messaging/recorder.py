"""Writing answers down while others come in: a thread of its own beside the claiming one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from messaging import dispatch
from messaging.dispatch import Answered
from messaging.in_flight import InFlight
from messaging.pace import Pace
from messaging.providers.base import Result
from orgs import database

logger = logging.getLogger(__name__)

# Results wait this long for others to be recorded with, seconds, but never more than so many.
LINGER_SECONDS = 0.08
RECORD_MOST = 300
# An answer is worth more than a lease: it is kept as long as the database is away, with these
# waits in seconds between the tries. After the last of them each answer is tried by itself, so
# that one that alone can never be written, or the end of the process, gives up no other. What is
# given up is rescued as unknown when its lease runs out.
RECORD_AGAIN_SECONDS = (0.2, 1.0, 3.0, 6.0, 12.0, 24.0)
AWAY = (OperationalError, InterfaceError)


class Recorder:
    """Takes results from any thread; one thread runs it."""

    def __init__(self, in_flight: InFlight, pace: Pace, on_room: Callable[[], None]) -> None:
        self._in_flight = in_flight
        self._pace = pace
        self._on_room = on_room  # called after each record
        self._results: SimpleQueue[Sequence[Result]] = SimpleQueue()  # an empty one rings
        self._answered: list[Answered] = []
        self._oldest = 0.0  # when the first of the answered came in
        self._tries = 0
        self._record_after = 0.0
        self._closing = threading.Event()

    @property
    def is_stuck(self) -> bool:
        """Say whether answers cannot be written now; what cannot be must not pile up."""
        return self._tries > 0

    def put(self, results: Sequence[Result]) -> None:
        """Have the results recorded."""
        self._results.put(results)

    def close(self) -> None:
        """End ``run`` once everything under way is recorded."""
        self._closing.set()
        self._results.put([])

    def run(self) -> None:
        """Record until closed; whatever breaks a turn, the next one goes on."""
        try:
            while not self._closing.is_set() or len(self._in_flight):
                try:
                    self.turn()
                except Exception:
                    logger.exception("The recorder broke down; it goes on")
        finally:
            database.release_connection()

    def turn(self) -> None:
        """Wait for what comes first, then record what is ripe."""
        self._collect(self._patience())
        if self._should_record():
            self._record()
            self._on_room()
        elif not self._answered:
            database.release_connection()

    def _patience(self) -> float:
        """Return how long to wait for results, seconds."""
        if not self._answered:
            return settings.OUTBOUND_TICK_SECONDS
        return max(0.0, max(self._oldest + LINGER_SECONDS, self._record_after) - monotonic())

    def _collect(self, wait: float) -> None:
        try:
            results = self._results.get(timeout=wait) if wait else self._results.get_nowait()
            while True:
                self._take_in(results)
                if len(self._answered) >= RECORD_MOST:
                    return
                results = self._results.get_nowait()
        except Empty:
            return

    def _take_in(self, results: Sequence[Result]) -> None:
        answered = self._in_flight.answered(results)
        if answered and not self._answered:
            self._oldest = monotonic()
        self._answered += answered
        for message, result in answered:
            if result.http_status is not None:
                self._pace.note(message.phone_number_id, result.duration_ms / 1000)

    def _should_record(self) -> bool:
        if not self._answered or monotonic() < self._record_after:
            return False
        ripe = monotonic() - self._oldest >= LINGER_SECONDS
        return ripe or not self._in_flight.calls or len(self._answered) >= RECORD_MOST

    def _record(self) -> None:
        left = self._try_all() if self._tries < len(RECORD_AGAIN_SECONDS) else self._try_each()
        if left and self._closing.is_set() and self._tries >= len(RECORD_AGAIN_SECONDS):
            logger.error("Answers given up", extra={"count": len(left)})
            left = []
        self._in_flight.recorded(len(self._answered) - len(left))
        self._answered = left
        if not left:
            self._tries, self._record_after = 0, 0.0
            return
        wait = RECORD_AGAIN_SECONDS[min(self._tries, len(RECORD_AGAIN_SECONDS) - 1)]
        self._record_after = monotonic() + wait
        self._tries += 1
        logger.warning("Database away; recording again soon", extra={"count": len(left)})

    def _try_all(self) -> list[Answered]:
        """Record all at once; return what must be tried again."""
        try:
            dispatch.record(self._answered)
        except AWAY:
            connection.close()
            return self._answered
        except Exception:
            logger.exception("A batch of answers failed; recording them one by one")
            return self._try_each()
        return []

    def _try_each(self) -> list[Answered]:
        """Record one by one; return what is left when the database is away."""
        for place, answer in enumerate(self._answered):
            try:
                dispatch.record([answer])
            except Exception as error:
                connection.close()
                if isinstance(error, AWAY) and not database_answers():
                    return self._answered[place:]
                logger.exception("An answer failed", extra={"message_id": answer[0].pk})
        return []


def database_answers() -> bool:
    """Say whether the database answers anything at all."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except AWAY:
        connection.close()
        return False
    return True
