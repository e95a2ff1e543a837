"""The engine of one worker process: claim and hand over, while another thread records."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from messaging import channels, claims, dispatch, heartbeats, limits, traced, tracing
from messaging.claims import Claim
from messaging.courier import Courier
from messaging.in_flight import InFlight
from messaging.models import PhoneNumber
from messaging.pace import Pace
from messaging.providers.base import Outcome, Outgoing, Result, steady_seconds
from messaging.recorder import Recorder
from orgs import database

logger = logging.getLogger(__name__)

# New messages are claimed when this share of the capacity is free: large batches cost less.
CLAIM_SHARE = 5
LARGE_CLAIM = 100
# A thread that sends later than this is in trouble that no start slot can foresee.
LONGEST_LATENESS_SECONDS = 0.15
# A saturated number is looked at this often: start slots are booked half a second ahead.
SATURATED_SECONDS = 0.1


class Dispatcher:
    """Runs in one thread; ``look`` and ``stop`` may be called from any."""

    def __init__(self) -> None:
        self._capacity = settings.OUTBOUND_SEND_CONCURRENCY
        self._pace = Pace()
        self._in_flight = InFlight()
        self._bell = threading.Event()
        self._recorder = Recorder(self._in_flight, self._pace, self._bell.set)
        self._couriers: dict[str, Courier] = {}
        self._look_at = 0.0  # when to look for work next
        self._stopping = threading.Event()

    def look(self) -> None:
        """Look for work at once."""
        self._look_at = 0.0
        self._bell.set()

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the calls in flight are recorded."""
        self._stopping.set()
        self._bell.set()

    def run(self) -> None:
        """Work until told to stop, then see the calls in flight through."""
        recording = threading.Thread(target=self._recorder.run, name="recorder", daemon=True)
        recording.start()
        try:
            while not self._stopping.is_set():
                self._bell.wait(self._patience())
                self._bell.clear()
                heartbeats.note(heartbeats.Kind.WORKER)
                self.turn()
        finally:
            self._recorder.close()
            recording.join()
            self._close()

    def turn(self) -> int:
        """Claim if it is time to and there is room; return how many were claimed."""
        self._forget_lost()
        claimed = self._claim() if self._should_claim() else 0
        database.release_connection()
        return claimed

    def finish(self) -> None:
        """Record what is under way in the calling thread, and stop: for tests."""
        while len(self._in_flight):
            self._recorder.turn()
        self._close()

    def _close(self) -> None:
        for courier in self._couriers.values():
            courier.close()
        database.release_connection()

    def _patience(self) -> float:
        """Return how long to wait for the bell, seconds."""
        tick = settings.OUTBOUND_TICK_SECONDS
        if not self._has_room():
            return tick  # a record will ring
        return min(tick, max(0.0, self._look_at - monotonic()))

    def _has_room(self) -> bool:
        """Say whether enough places are free for a claim to be worth its statements."""
        taken = len(self._in_flight)
        if self._recorder.is_stuck:
            return False
        return taken == 0 or self._capacity - taken >= max(1, self._capacity // CLAIM_SHARE)

    def _should_claim(self) -> bool:
        return not self._stopping.is_set() and self._has_room() and monotonic() >= self._look_at

    def _claim(self) -> int:
        self._look_at = monotonic() + settings.OUTBOUND_TICK_SECONDS
        begun = tracing.now()
        busy = self._in_flight.by_number()

        def ceiling(number: PhoneNumber) -> int:
            return min(self._pace.ceiling(number), busy[number.pk] + self._pace.room(number))

        try:
            claim = claims.claim_due(
                self._capacity - len(self._in_flight),
                capacity=self._capacity,
                busy=busy,
                ceiling=ceiling,
                lead=self._lead,
            )
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("Nothing claimed (%s); looking again soon", type(error).__name__)
            return 0
        if claim is None:
            return 0
        for number_id, until in claim.booked.items():
            self._pace.note_booked(number_id, until)
        if claim.more:
            # A large claim is followed by the next at once; small ones mean that the numbers
            # are as busy as they may be, and claiming row by row would cost too much.
            pause = 0.0 if len(claim.messages) >= LARGE_CLAIM else SATURATED_SECONDS
            self._look_at = monotonic() + pause
        self._hand_over(claim)
        traced.claimed(claim.messages, begun)
        if claim.messages:
            self._pace.note_lag(len(claim.messages), steady_seconds() - claim.decided_at)
        return len(claim.messages)

    def _lead(self, count: int) -> float:
        """Return how long it takes until calls that are decided on now can begin, seconds."""
        lateness = max((each.lateness for each in self._couriers.values()), default=0.0)
        return self._pace.lead(count) + min(lateness, LONGEST_LATENESS_SECONDS)

    def _hand_over(self, claim: Claim) -> None:
        calls = list(zip(dispatch.outgoing(claim), claim.messages, strict=True))
        self._in_flight.add((outgoing.key, message) for outgoing, message in calls)
        batches: dict[str, list[Outgoing]] = {}
        for outgoing, message in calls:
            batches.setdefault(message.channel, []).append(outgoing)
        for channel, batch in batches.items():
            courier = self._courier(channel)
            if courier is not None:
                courier.send(batch)
                continue
            text = "Nothing sends for this channel."
            self._recorder.put(
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
                courier = Courier(channels.provider(channel), self._recorder.put, self._book_again)
            except KeyError:
                return None
            self._couriers[channel] = courier
        return courier

    def _book_again(self, keys: Sequence[str], lead: float) -> dict[str, float]:
        """Return new start slots for calls that missed theirs; a courier's thread asks."""
        slots: dict[str, float] = {}
        by_number: dict[int, list[str]] = {}
        messages = self._in_flight.messages(keys)
        for key, message in messages.items():
            by_number.setdefault(message.phone_number_id, []).append(key)
        try:
            for of_number in by_number.values():
                late = [messages[key] for key in of_number]
                starts = limits.book_again(late, lead)
                self._pace.note_booked(late[0].phone_number_id, starts[-1])
                slots |= dict(zip(of_number, starts, strict=True))
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("No new start slots (%s)", type(error).__name__)
        finally:
            database.release_connection()
        return slots

    def _forget_lost(self) -> None:
        """Stop waiting for what a broken courier carried; the rescue finds it."""
        lost = {name for name, courier in self._couriers.items() if not courier.is_alive}
        if lost:
            self._in_flight.drop(lost)
            for name in lost:
                del self._couriers[name]
