"""Whatever Meta sends, in whatever order, split and repeated: the same end, by the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import states, statuses, transitions
from messaging.models import MessageEvent, OutboundMessage
from messaging.providers.base import Receipt
from messaging.providers.whatsapp import callback
from messaging.states import Cause, Status
from messaging.transitions import Change
from tests.factories.messaging import AttemptFactory, MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
events = st.lists(
    st.tuples(
        st.sampled_from(["sent", "delivered", "read", "failed", "played", "odd"]), st.integers(0, 3)
    ),
    min_size=1,
    max_size=6,
)


def message() -> OutboundMessage:
    made = MessageFactory(status=Status.SENT, last_attempt_number=1, attempt_count=1)
    AttemptFactory(message=made, outcome="ACCEPTED", charged=True, finished_at=timezone.now())
    return made


def apply(target: OutboundMessage, batch: list[tuple[str, int]]) -> None:
    receipts = [
        Receipt(
            provider_message_id="wamid.1",
            status=word,
            at=AT + timedelta(seconds=second),
            phone_number_id=target.phone_number.phone_number_id,
            account_id="1",
            callback_data=callback.encode("outbound", target.pk.hex, 1),
            error_code="131026" if word == "failed" else "",
        )
        for word, second in batch
    ]
    with transaction.atomic():
        statuses.apply([(receipt, target.phone_number) for receipt in receipts], timezone.now())


def end(target: OutboundMessage) -> tuple[object, ...]:
    target.refresh_from_db()
    return (
        target.status,
        target.sent_at,
        target.delivered_at,
        target.read_at,
        target.error_code,
        target.attempts.get().receipts,
    )


@quick
@given(batch=events, data=st.data())
def test_order_split_and_repetition_make_no_difference(batch, data):
    whole, pieces = message(), message()
    apply(whole, batch)
    shuffled = data.draw(st.permutations(batch + batch[:2]))
    cut = data.draw(st.integers(0, len(shuffled)))
    for part in (shuffled[:cut], shuffled[cut:]):
        if part:
            apply(pieces, part)
    assert end(whole) == end(pieces)


@quick
@given(batch=events)
def test_delivery_wins_and_nothing_goes_back(batch):
    target = message()
    reached = False
    for event in batch:
        apply(target, [event])
        target.refresh_from_db()
        reached = reached or event[0] in {"delivered", "read", "played"}
        assert (target.status == Status.DELIVERED) == reached


@quick
@given(
    start=st.sampled_from([Status.QUEUED, Status.SENDING, Status.SENT, Status.FAILED]),
    moves=st.lists(st.sampled_from(list(Status)), max_size=8),
)
def test_the_timeline_only_holds_moves_of_the_table(start, moves):
    target = MessageFactory(status=start)
    now = timezone.now()
    changes = [
        Change(
            target.pk,
            Cause.STAFF,
            now,
            to,
            due_at=now if to == Status.QUEUED else None,
        )
        for to in moves
        if to != Status.SENDING
    ]
    with transaction.atomic():
        transitions.apply(transitions.lock([target.pk]), changes, now=now)
    target.refresh_from_db()
    at = start
    for line in MessageEvent.objects.filter(message=target).order_by("id"):
        assert (line.from_status, states.can_move(line.from_status, line.to_status)) == (at, True)
        at = line.to_status
    assert at == target.status
