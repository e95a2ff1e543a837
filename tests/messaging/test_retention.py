from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import retention
from messaging.models import (
    MessageEvent,
    OutboundAttempt,
    OutboundMessage,
    ProviderNotice,
    WebhookDelivery,
    WebhookEvent,
)
from messaging.states import Cause, Status
from orgs.ids import first_uuid7
from tests.factories.messaging import MessageFactory, MetaAppFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def message_of_age(days: float, status: str = Status.DELIVERED, place: int = 0) -> OutboundMessage:
    at = timezone.now() - timedelta(days=days)
    pk = type(first_uuid7(at))(int=first_uuid7(at).int + place)
    message = MessageFactory(pk=pk, status=status, created_at=at)
    OutboundAttempt.objects.create(
        message=message, attempt_number=1, claim_id=message.pk, started_at=at
    )
    MessageEvent.objects.create(
        message=message, org=message.org, at=at, recorded_at=at, kind="x", cause=Cause.INTAKE
    )
    return message


def delivery_of_age(days: float, status: str = "DONE") -> WebhookDelivery:
    at = timezone.now() - timedelta(days=days)
    delivery = WebhookDelivery.objects.create(
        app=MetaAppFactory(), received_at=at, body=b"{}", status=status
    )
    WebhookEvent.objects.create(
        delivery=delivery, topic="sent", result="APPLIED", recorded_at=at, position=0
    )
    return delivery


def test_finished_messages_go_with_attempts_and_timeline(settings):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = 30
    message_of_age(31)
    young = message_of_age(29)
    assert retention.purge_messages() == 1
    assert [row.pk for row in OutboundMessage.objects.all()] == [young.pk]
    assert (OutboundAttempt.objects.count(), MessageEvent.objects.count()) == (1, 1)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENDING])
def test_what_has_not_ended_stays_however_old(settings, status):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = 30
    message_of_age(400, status)
    assert retention.purge_messages() == 0


def test_zero_days_keep_everything(settings):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = settings.OUTBOUND_WEBHOOK_RETENTION_DAYS = 0
    message_of_age(4000)
    delivery_of_age(4000)
    assert (retention.purge_messages(), retention.purge_webhooks()) == (0, 0)


def test_batches_are_bounded(settings, monkeypatch):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = 30
    monkeypatch.setattr(retention, "BATCH", 2)
    for place in range(3):
        message_of_age(31, place=place)
    assert [retention.purge_messages() for _ in range(3)] == [2, 1, 0]


def test_processed_webhooks_go_and_waiting_ones_stay(settings):
    settings.OUTBOUND_WEBHOOK_RETENTION_DAYS = 7
    delivery_of_age(8)
    waiting, young = delivery_of_age(8, "PENDING"), delivery_of_age(6)
    assert retention.purge_webhooks() == 1
    assert set(WebhookDelivery.objects.values_list("pk", flat=True)) == {waiting.pk, young.pk}
    assert WebhookEvent.objects.count() == 2


def test_what_meta_told_of_accounts_goes_with_the_messages(settings):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = 30
    account = PhoneNumberFactory().account
    for days in (31, 29):
        at = timezone.now() - timedelta(days=days)
        ProviderNotice.objects.create(
            org=account.org,
            account=account,
            topic="account_alerts",
            occurred_at=at,
            recorded_at=at,
            digest=str(days),
        )
    assert (retention.purge_notices(), retention.purge_notices()) == (1, 0)
    assert ProviderNotice.objects.get().digest == "29"
