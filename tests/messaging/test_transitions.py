from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from messaging import transitions
from messaging.models import MessageEvent
from messaging.states import Cause, Status
from messaging.transitions import Change
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def apply(*changes: Change):
    with transaction.atomic():
        rows = transitions.lock(change.message_id for change in changes)
        return transitions.apply(rows, changes, now=timezone.now())


def test_a_move_is_written_with_its_line_of_timeline():
    message = MessageFactory(status=Status.SENDING)
    (made,) = apply(Change(message.pk, Cause.RESULT, timezone.now(), Status.SENT))
    message.refresh_from_db()
    assert (made.old, made.new, message.status) == (Status.SENDING, Status.SENT, Status.SENT)
    assert message.claim_id is None
    event = MessageEvent.objects.get(message=message)
    assert (event.from_status, event.to_status, event.kind) == ("SENDING", "SENT", "sent")


def test_a_forbidden_move_changes_nothing():
    message = MessageFactory(status=Status.DELIVERED)
    assert apply(Change(message.pk, Cause.RESULT, timezone.now(), Status.FAILED)) == []
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert not MessageEvent.objects.filter(message=message).exists()


def test_facts_are_kept_even_when_the_move_is_refused():
    message = MessageFactory(status=Status.DELIVERED)
    now = timezone.now()
    change = Change(message.pk, Cause.RESULT, now, Status.SENT, charge=1, accepted_at=now)
    apply(change)
    message.refresh_from_db()
    assert (message.status, message.attempt_count) == (Status.DELIVERED, 1)
    assert message.accepted_at == now


def test_a_worker_that_lost_its_claim_moves_nothing():
    message = MessageFactory(status=Status.SENDING)
    change = Change(message.pk, Cause.RESULT, timezone.now(), Status.SENT, claim_id=uuid.uuid4())
    apply(change)
    message.refresh_from_db()
    assert message.status == Status.SENDING


def test_several_changes_of_one_message_end_in_the_last():
    message = MessageFactory(status=Status.SENDING)
    now = timezone.now()
    apply(
        Change(message.pk, Cause.RECEIPT, now, Status.SENT),
        Change(message.pk, Cause.RECEIPT, now, Status.DELIVERED, delivered_at=now),
    )
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert MessageEvent.objects.filter(message=message).count() == 2


def test_times_only_move_to_the_earlier_one():
    message = MessageFactory(status=Status.SENT)
    late = timezone.now()
    early = late - timedelta(seconds=5)
    for at in (late, early, late):
        apply(Change(message.pk, Cause.RECEIPT, at, Status.DELIVERED, delivered_at=at))
    message.refresh_from_db()
    assert message.delivered_at == message.sent_at == early


@pytest.mark.parametrize("answer_first", [True, False])
def test_metas_whole_seconds_do_not_lie_before_the_acceptance(answer_first):
    message = MessageFactory(status=Status.SENDING)
    accepted = timezone.now().replace(microsecond=440_000)
    delivered = accepted.replace(microsecond=0)
    changes = [
        Change(message.pk, Cause.RESULT, accepted, Status.SENT, accepted_at=accepted),
        Change(message.pk, Cause.RECEIPT, delivered, Status.DELIVERED, delivered_at=delivered),
    ]
    for change in changes if answer_first else reversed(changes):
        apply(change)
    message.refresh_from_db()
    assert message.sent_at == message.delivered_at == accepted


def test_a_delivery_well_before_the_answer_keeps_its_time():
    message = MessageFactory(status=Status.SENDING)
    accepted = timezone.now()
    early = accepted - timedelta(seconds=3)
    apply(Change(message.pk, Cause.RECEIPT, early, Status.DELIVERED, delivered_at=early))
    apply(Change(message.pk, Cause.RESULT, accepted, Status.SENT, accepted_at=accepted))
    message.refresh_from_db()
    assert message.delivered_at == message.sent_at == early


def test_each_message_of_a_batch_gets_its_own_values():
    now = timezone.now()
    messages = [MessageFactory(status=Status.SENDING) for _ in range(3)]
    apply(
        *(
            Change(m.pk, Cause.RESULT, now, Status.SENT, provider_message_id=f"wamid.{n}")
            for n, m in enumerate(messages)
        )
    )
    for n, message in enumerate(messages):
        message.refresh_from_db()
        assert message.provider_message_id == f"wamid.{n}"


def test_the_number_of_statements_does_not_grow_with_the_batch(django_assert_num_queries):
    now = timezone.now()
    for count in (1, 50):
        messages = [MessageFactory(status=Status.SENDING) for _ in range(count)]
        with transaction.atomic(), django_assert_num_queries(4):
            rows = transitions.lock(m.pk for m in messages)
            changes = [Change(m.pk, Cause.RESULT, now, Status.SENT) for m in messages]
            transitions.apply(rows, changes, now=now)
