from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import operations, windows
from messaging.models import OutboundMessage, ServiceWindow
from messaging.operations import Instruction
from messaging.states import Cause, Status
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.mark.parametrize(
    ("age", "is_open"),
    [
        (timedelta(0), True),
        (timedelta(hours=23, minutes=54), True),
        (timedelta(hours=23, minutes=56), False),
        (timedelta(days=3), False),
    ],
)
def test_the_window_closes_five_minutes_before_metas_24_hours(age, is_open):
    message = MessageFactory()
    now = timezone.now()
    ServiceWindow.objects.create(
        org=message.org,
        phone_number=message.phone_number,
        contact=message.contact,
        last_inbound_at=now - age,
    )
    pair = (message.phone_number_id, message.contact_id)
    assert (pair in windows.open_pairs([pair], now)) is is_open
    assert (message.pk in windows.closed([message], now)) is not is_open


@pytest.mark.parametrize("status", [s for s in Status if s != Status.FAILED])
def test_only_failed_messages_are_requeued(status):
    message = MessageFactory(status=status)
    assert operations.requeue([message.pk], Instruction("user:1", Cause.STAFF, "x")) == []
    message.refresh_from_db()
    assert message.status == status


@pytest.mark.parametrize("status", [s for s in Status if s != Status.QUEUED])
def test_only_queued_messages_are_cancelled(status):
    message = MessageFactory(status=status)
    assert operations.cancel([message.pk], Instruction("user:1", Cause.STAFF, "x")) == []
    message.refresh_from_db()
    assert message.status == status


def test_an_operation_is_bounded():
    ids = [OutboundMessage().pk for _ in range(operations.LARGEST_BATCH + 1)]
    with pytest.raises(ValueError, match="At most"):
        operations.requeue(ids, Instruction("user:1", Cause.STAFF, "x"))
