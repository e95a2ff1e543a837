"""The engine of one worker process: claim, hand over, record, and again."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from queue import Empty, SimpleQueue
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from messaging import channels, claims, dispatch
from messaging.claims import Claim, Claimed
from messaging.courier import Courier
from messaging.dispatch import Answered
from messaging.pace import Pace
from messaging.providers.base import Outcome, Outgoing, Result

logger = logging.getLogger(__name__)

# Results wait this long for others to be recorded with, seconds, but never more than so many.
LINGER_SECONDS = 0.02
RECORD_MOST = 200
# New messages are claimed when this share of the capacity is free: large batches cost less.
CLAIM_SHARE = 16
LARGE_CLAIM = 100
SATURATED_SECONDS = 0.05
# An answer is worth some patience: after so many tries, with these waits in seconds between
# them, it is given up, and its message is rescued as unknown when the lease runs out.
RECORD_AGAIN_SECONDS = (0.2, 1.0, 3.0, 6.0, 12.0, 24.0)


class Dispatcher:
    """Runs in one thread; ``look`` and ``stop`` may be called from any."""

    def __init__(self) -> None:
        self._capacity = settings.OUTBOUND_SEND_CONCURRENCY
        self._pace = Pace()
        self._results: SimpleQueue[list[Result]] = SimpleQueue()  # an empty list rings
        self._couriers: dict[str, Courier] = {}
        self._flying: dict[str, Claimed] = {}
        self._answered: list[Answered] = []
        self._oldest = 0.0  # when the first of the answered came in
        self._tries = 0
        self._record_after = 0.0
        self._look_at = 0.0  # when to look for work next
        self._stopping = threading.Event()

    def look(self) -> None:
        """Look for work at once."""
        self._look_at = 0.0
        self._results.put([])

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the calls in flight are recorded."""
        self._stopping.set()
        self._results.put([])

    def run(self) -> None:
        """Work until told to stop, then see the calls in flight through."""
        try:
            while not self._stopping.is_set() or self._busy():
                self.turn()
        finally:
            for courier in self._couriers.values():
                courier.close()
            _release_connection()

    def turn(self) -> int:
        """Wait for what comes first, then record and claim; return how many were claimed."""
        self._collect(self._patience())
        self._forget_lost()
        if self._should_record():
            self._record()
        claimed = self._claim() if self._should_claim() else 0
        if not claimed:
            _release_connection()
        return claimed

    def _busy(self) -> bool:
        return bool(self._flying or self._answered)

    def _patience(self) -> float:
        """Return how long to wait for results, seconds."""
        moment = monotonic()
        ends = [moment + settings.OUTBOUND_TICK_SECONDS]
        if self._answered:
            ends.append(max(self._oldest + LINGER_SECONDS, self._record_after))
        if not self._stopping.is_set() and self._has_room():
            ends.append(self._look_at)
        return max(0.0, min(ends) - moment)

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

    def _take_in(self, results: list[Result]) -> None:
        for result in results:
            message = self._flying.pop(result.key, None)
            if message is None:
                continue
            if not self._answered:
                self._oldest = monotonic()
            self._answered.append((message, result))
            if result.http_status is not None:
                self._pace.note(message.phone_number_id, result.duration_ms / 1000)

    def _should_record(self) -> bool:
        if not self._answered or monotonic() < self._record_after:
            return False
        ripe = monotonic() - self._oldest >= LINGER_SECONDS
        return ripe or not self._flying or len(self._answered) >= RECORD_MOST

    def _record(self) -> None:
        try:
            dispatch.record(self._answered)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if self._tries < len(RECORD_AGAIN_SECONDS):
                self._record_after = monotonic() + RECORD_AGAIN_SECONDS[self._tries]
                self._tries += 1
                logger.warning("Database away (%s); recording again soon", type(error).__name__)
                return
            logger.error("Answers given up", extra={"count": len(self._answered)})
        except Exception:
            logger.exception("A batch of answers failed; recording them one by one")
            self._record_one_by_one()
        self._answered, self._tries, self._record_after = [], 0, 0.0

    def _record_one_by_one(self) -> None:
        for answer in self._answered:
            try:
                dispatch.record([answer])
            except Exception:
                logger.exception("An answer failed", extra={"message_id": answer[0].pk})
                connection.close()

    def _has_room(self) -> bool:
        """Say whether enough places are free for a claim to be worth its statements."""
        taken = len(self._flying) + len(self._answered)
        if self._tries:
            return False  # what cannot be recorded must not pile up
        return taken == 0 or self._capacity - taken >= max(1, self._capacity // CLAIM_SHARE)

    def _should_claim(self) -> bool:
        return not self._stopping.is_set() and self._has_room() and monotonic() >= self._look_at

    def _claim(self) -> int:
        self._look_at = monotonic() + settings.OUTBOUND_TICK_SECONDS
        busy = Counter(message.phone_number_id for message in self._flying.values())
        free = self._capacity - len(self._flying) - len(self._answered)
        try:
            claim = claims.claim_due(
                free, capacity=self._capacity, busy=busy, ceiling=self._pace.ceiling
            )
        except DatabaseError as error:
            connection.close()
            logger.warning("Nothing claimed (%s); looking again soon", type(error).__name__)
            return 0
        if claim is None:
            return 0
        if claim.more:
            # A large claim is followed by the next at once; small ones mean that the numbers
            # are as busy as they may be, and claiming row by row would cost too much.
            pause = 0.0 if len(claim.messages) >= LARGE_CLAIM else SATURATED_SECONDS
            self._look_at = monotonic() + pause
        self._hand_over(claim)
        return len(claim.messages)

    def _hand_over(self, claim: Claim) -> None:
        batches: dict[str, list[Outgoing]] = {}
        for message, outgoing in zip(claim.messages, dispatch.outgoing(claim), strict=True):
            self._flying[outgoing.key] = message
            batches.setdefault(message.channel, []).append(outgoing)
        for channel, batch in batches.items():
            courier = self._courier(channel)
            if courier is not None:
                courier.send(batch)
                continue
            text = "Nothing sends for this channel."
            self._take_in(
                [
                    Result(item.key, Outcome.REJECTED, error_code="CHANNEL", error_message=text)
                    for item in batch
                ]
            )

    def _courier(self, channel: str) -> Courier | None:
        """Return who sends for the channel; a new one in place of one that broke down."""
        courier = self._couriers.get(channel)
        if courier is None or not courier.is_alive:
            try:
                courier = Courier(channels.provider(channel), self._results.put)
            except KeyError:
                return None
            self._couriers[channel] = courier
        return courier

    def _forget_lost(self) -> None:
        """Stop waiting for what a broken courier carried; the rescue finds it."""
        lost = {name for name, courier in self._couriers.items() if not courier.is_alive}
        if lost:
            self._flying = {
                key: message for key, message in self._flying.items() if message.channel not in lost
            }
            for name in lost:
                del self._couriers[name]


def _release_connection() -> None:
    """Give the connection back to the pool: none is held while the provider is called."""
    if not connection.in_atomic_block:
        connection.close()
