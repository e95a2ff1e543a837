"""What Meta still tells of somebody who was erased."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from consent.models import Consent
from messaging import claims, dispatch, receipts, replay
from messaging.models import OutboundMessage, PhoneNumber, WebhookDelivery, WebhookEvent
from messaging.providers.base import Outcome, Result
from messaging.providers.whatsapp import callback
from messaging.states import Status
from tests.factories.messaging import MessageFactory
from tests.messaging.persons.cast import BSUID, DIGITS, WAMID, arrive, erase, everything_stored
from tests.messaging.test_webhooks import payload

pytestmark = [pytest.mark.django_db, pytest.mark.core]


class TestReportedAfterErasure:
    """What Meta still reports of messages whose person was erased."""

    def status(self, message: OutboundMessage, **fields: Any) -> dict[str, Any]:
        return {
            "id": WAMID,
            "status": "delivered",
            "timestamp": str(int(timezone.now().timestamp())),
            "recipient_id": DIGITS,
            "recipient_user_id": BSUID,
            "biz_opaque_callback_data": callback.encode(
                settings.OUTBOUND_INSTANCE, message.pk.hex, 1
            ),
            **fields,
        }

    def told(self, number: PhoneNumber, *statuses: dict[str, Any]) -> dict[str, Any]:
        people = [{"profile": {"name": "Ana"}, "wa_id": DIGITS, "user_id": BSUID}]
        return payload(number, contacts=people, statuses=list(statuses))

    def test_a_status_counts_and_leaves_nothing_of_the_person(self, client, number, person):
        message = OutboundMessage.objects.get()
        erase(person)
        OutboundMessage.objects.update(status=Status.SENT)
        other = {**self.status(message), "biz_opaque_callback_data": "", "id": "wamid.other"}
        arrive(client, self.told(number, self.status(message), {**other, "recipient_id": "1303"}))
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        stored = everything_stored()
        assert [secret for secret in (DIGITS, WAMID, "Ana") if secret in stored] == []
        events = WebhookEvent.objects.order_by("-delivery_id", "position")
        assert [row.result for row in events[:2]] == ["ERASED", "UNMATCHED"]
        body = json.loads(bytes(WebhookDelivery.objects.order_by("pk").last().body))
        assert body["entry"][0]["changes"][0]["value"]["statuses"][1]["id"] == "wamid.other"

    def test_processed_again_it_is_still_about_somebody_erased(self, client, number, person):
        message = OutboundMessage.objects.get()
        erase(person)
        arrive(client, self.told(number, self.status(message)))
        replay.process_again(WebhookDelivery.objects.all(), actor="user:1", reason="r")
        receipts.apply_pending()
        assert set(WebhookEvent.objects.values_list("result", flat=True)) >= {"ERASED"}
        assert not WebhookEvent.objects.filter(result="POISON").exists()
        assert DIGITS not in everything_stored()

    def test_a_refusal_records_no_consent_of_the_erased(self, client, number, person):
        message = OutboundMessage.objects.get()
        erase(person)
        failed = {"status": "failed", "errors": [{"code": 131050, "title": "stopped"}]}
        arrive(client, self.told(number, self.status(message, **failed)))
        assert not Consent.objects.exists()
        assert WAMID not in everything_stored()

    def test_a_late_answer_leaves_nothing_either(self, number, person):
        late = MessageFactory(phone_number=number, contact=person)
        (claimed,) = claims.claim_due(10).messages
        OutboundMessage.objects.filter(pk=late.pk).update(
            status=Status.FAILED, claim_id=None, lease_expires_at=None
        )
        erase(person)
        result = Result("k", Outcome.ACCEPTED, provider_message_id=WAMID, excerpt=f"to {DIGITS}")
        dispatch.record([(claimed, result)])
        assert late.attempts.get().outcome == "ACCEPTED"
        stored = everything_stored()
        assert WAMID not in stored
        assert DIGITS not in stored
