"""Whatever people and Meta do to a message, in whatever order, the table of moves holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import operations, states, statuses
from messaging.dead_letters import working
from messaging.models import BulkOperation, Discard, MessageEvent, OutboundMessage
from messaging.providers.base import Receipt
from messaging.providers.whatsapp import callback
from messaging.states import Status
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import AttemptFactory, MessageFactory
from tests.messaging.dead_letters.cast import ADA, discard_all, requeue_all

pytestmark = [pytest.mark.django_db, pytest.mark.core]

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
deeds = st.lists(
    st.sampled_from(
        [
            *("requeue", "discard", "restore", "cancel", "requeue all", "discard all", "work"),
            *("sent", "delivered", "failed"),
        ]
    ),
    max_size=10,
)


def do(target: OutboundMessage, deed: str) -> None:
    if deed in {"requeue", "discard", "restore", "cancel"}:
        getattr(operations, deed)([target.pk], ADA)
    elif deed == "requeue all":
        requeue_all()
    elif deed == "discard all":
        discard_all()
    elif deed == "work":
        working.proceed()
    else:
        receive(target, deed)


def receive(target: OutboundMessage, word: str) -> None:
    receipt = Receipt(
        provider_message_id="wamid.1",
        status=word,
        at=AT,
        phone_number_id=target.phone_number.phone_number_id,
        account_id="1",
        callback_data=callback.encode("outbound", target.pk.hex, 1),
        error_code="131026" if word == "failed" else "",
    )
    with transaction.atomic():
        statuses.apply([(receipt, target.phone_number)], timezone.now())


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(deeds=deeds)
def test_only_moves_of_the_table_are_made(deeds):
    BulkOperation.objects.all().delete()
    target = MessageFactory(
        status=Status.FAILED,
        last_attempt_number=1,
        attempt_count=1,
        error_code="131016",
        failed_at=timezone.now() - timedelta(hours=1),
    )
    ConsentFactory(contact=target.contact)
    AttemptFactory(message=target, outcome="REJECTED", charged=True, finished_at=timezone.now())
    for deed in deeds:
        do(target, deed)
    at: str = Status.FAILED
    moves = MessageEvent.objects.filter(message=target).exclude(to_status="").order_by("id")
    for line in moves:
        assert line.from_status == at
        assert states.can_move(at, line.to_status)
        at = line.to_status
    target.refresh_from_db()
    assert target.status == at
    # What can be brought back is exactly what lies discarded.
    lies_discarded = (target.status, target.error_code) == (Status.CANCELLED, "DISCARDED")
    restorable = Discard.objects.restorable(timezone.now()).filter(message=target)
    assert restorable.exists() == lies_discarded
    assert operations.restore([target.pk], ADA) == ([target.pk] if lies_discarded else [])
