"""STOP and START from the webhook to the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import ledger
from consent.models import Consent, ConsentEvent, ConsentPolicy, Contact
from messaging import receipts, withdrawals
from messaging.models import MessageEvent, OutboundMessage, ServiceWindow, WebhookEvent
from messaging.providers.base import Outcome
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.states import Status
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory
from tests.messaging.test_webhooks import payload, post, results, sent, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE = "+12025550123"


@pytest.fixture
def person(org) -> Contact:
    contact = ContactFactory(org=org, phone=PHONE)
    at = datetime(2026, 11, 1, tzinfo=UTC)  # before the webhooks below
    entries = [
        ledger.Entry(contact.pk, "WHATSAPP", purpose, "api", "key:x", at)
        for purpose in ("marketing", "transactional")
    ]
    ledger.grant(org, entries)
    return contact


def inbound(body: str, *, wamid: str = "wamid.in", at: str = "1794700000") -> dict[str, Any]:
    return {
        "id": wamid,
        "from": PHONE[1:],
        "timestamp": at,
        "type": "text",
        "text": {"body": body},
    }


def arrive(client, number, *messages: dict[str, Any]) -> None:
    post(client, payload(number, messages=list(messages)))
    receipts.apply_pending()


def answers(person: Contact) -> dict[str, str]:
    return dict(Consent.objects.filter(contact=person).values_list("purpose", "status"))


def preference(number, value: str, **fields: Any) -> dict[str, Any]:
    item = {
        "wa_id": PHONE[1:],
        "category": "marketing_messages",
        "value": value,
        "timestamp": 1794700013,
        **fields,
    }
    change = {
        "field": "user_preferences",
        "value": {
            "metadata": {"phone_number_id": number.phone_number_id},
            "user_preferences": [item],
        },
    }
    return {"entry": [{"id": number.account.waba_id, "changes": [change]}]}


def test_a_stop_revokes_and_the_queued_messages_are_cancelled(client, number, person):
    queued = [
        MessageFactory(phone_number=number, contact=person, purpose=purpose)
        for purpose in ("marketing", "transactional", "marketing")
    ]
    another = MessageFactory(phone_number=number)
    arrive(client, number, inbound(" STOP "))
    assert answers(person) == {"marketing": "REVOKED", "transactional": "REVOKED"}
    assert withdrawals.cancel_withdrawn() == 3
    assert withdrawals.cancel_withdrawn() == 0
    for message in queued:
        message.refresh_from_db()
        assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")
    another.refresh_from_db()
    assert another.status == Status.QUEUED
    event = ConsentEvent.objects.get(consent__purpose="marketing", status="REVOKED")
    assert (event.source, event.actor) == ("person", "person")
    assert event.proof == {"means": "text", "message_id": "wamid.in", "word": "stop"}
    assert int(event.occurred_at.timestamp()) == 1_794_700_000


def test_a_stop_for_marketing_only_leaves_the_rest(client, number, person):
    ConsentPolicy.objects.create(org=number.org, stop_scope="marketing")
    kept = MessageFactory(phone_number=number, contact=person)
    arrive(client, number, inbound("stop"))
    assert answers(person) == {"marketing": "REVOKED", "transactional": "GRANTED"}
    withdrawals.cancel_withdrawn()
    kept.refresh_from_db()
    assert kept.status == Status.QUEUED


def test_many_queued_messages_are_cancelled_in_bounded_batches(client, number, person, monkeypatch):
    monkeypatch.setattr(withdrawals, "BATCH", 2)
    for _ in range(5):
        MessageFactory(phone_number=number, contact=person)
    arrive(client, number, inbound("stop"))
    assert [withdrawals.cancel_withdrawn() for _ in range(4)] == [2, 2, 2, 0]
    assert set(OutboundMessage.objects.values_list("status", flat=True)) == {"CANCELLED"}


def test_whoever_takes_consent_back_the_queue_follows(api, number, person):
    queued = MessageFactory(phone_number=number, contact=person)
    consent = Consent.objects.get(contact=person, purpose="transactional")
    assert api.post(f"/api/v1/consents/{consent.pk}/revoke").status_code == 200
    withdrawals.cancel_withdrawn()
    queued.refresh_from_db()
    assert queued.error_code == "CONSENT_REVOKED"


def test_agreed_again_before_the_batch_came_nothing_is_cancelled(client, number, person):
    queued = MessageFactory(phone_number=number, contact=person)
    arrive(
        client,
        number,
        inbound("stop"),
        inbound("start", wamid="wamid.2", at="1794700005"),
    )
    assert answers(person) == {"marketing": "GRANTED", "transactional": "GRANTED"}
    assert withdrawals.cancel_withdrawn() == 0
    queued.refresh_from_db()
    assert queued.status == Status.QUEUED


def test_a_replayed_delivery_changes_nothing(client, number, person):
    for _ in range(2):
        arrive(client, number, inbound("stop"), inbound("start", wamid="wamid.2", at="1794700005"))
    assert ConsentEvent.objects.filter(consent__purpose="marketing").count() == 3


def test_an_opt_out_button_of_a_template_stops_marketing(client, number, person):
    tapped = {
        "id": "wamid.b",
        "from": PHONE[1:],
        "timestamp": "1794700000",
        "type": "button",
        "button": {"payload": "OPT_OUT_MARKETING", "text": "Stop promotions"},
    }
    arrive(client, number, tapped)
    assert answers(person) == {"marketing": "REVOKED", "transactional": "GRANTED"}


def test_stopped_and_resumed_in_whatsapp_itself(client, number, person):
    for value, expected in (("stop", "REVOKED"), ("resume", "GRANTED")):
        later = 1794700013 + (value == "resume")
        post(client, preference(number, value, timestamp=later))
        receipts.apply_pending()
        assert answers(person) == {"marketing": expected, "transactional": "GRANTED"}
    assert results() == [WebhookEvent.Result.APPLIED] * 2


def test_a_preference_about_something_else_is_kept(client, number, person):
    post(client, preference(number, "stop", category="calls"))
    receipts.apply_pending()
    assert answers(person)["marketing"] == "GRANTED"
    assert results() == [WebhookEvent.Result.KEPT]


def test_a_stop_counts_under_every_name_the_person_is_known_by(client, number, person):
    hidden = ContactFactory(org=number.org, phone=None, bsuid="US.1349")
    at = datetime(2026, 11, 1, tzinfo=UTC)
    ledger.grant(number.org, [ledger.Entry(hidden.pk, "WHATSAPP", "marketing", "api", "key:x", at)])
    arrive(client, number, {**inbound("stop"), "from_user_id": "US.1349"})
    assert answers(person)["marketing"] == answers(hidden)["marketing"] == "REVOKED"


def test_another_organizations_consents_are_not_touched(client, number, person, other_org):
    theirs = ConsentFactory(contact=ContactFactory(org=other_org, phone=PHONE))
    arrive(client, number, inbound("stop"))
    theirs.refresh_from_db()
    assert theirs.status == "GRANTED"


def test_a_failed_status_131050_stops_marketing(client, number, person):
    message = sent(number)
    OutboundMessage.objects.filter(pk=message.pk).update(contact=person, purpose="marketing")
    failed = status("failed", errors=[{"code": 131050, "title": "stopped"}])
    for _ in range(2):
        post(client, payload(number, statuses=[failed]))
        receipts.apply_pending()
    assert answers(person) == {"marketing": "REVOKED", "transactional": "GRANTED"}
    event = ConsentEvent.objects.get(status="REVOKED")
    assert (event.source, event.proof["code"]) == ("provider", "131050")


def test_a_call_refused_with_131050_stops_marketing(number, person, provider):
    MessageFactory(phone_number=number, contact=person, purpose="marketing")
    rule = DEFAULT_TABLE.lookup("131050")
    provider.answer(Outcome.REJECTED, error_code="131050", rule=rule, http_status=400)
    send_due()
    assert answers(person) == {"marketing": "REVOKED", "transactional": "GRANTED"}


class TestConfirmation:
    @pytest.fixture(autouse=True)
    def _policy(self, org):
        ConsentPolicy.objects.create(
            org=org, stop_confirmation="You are unsubscribed.", start_confirmation="Welcome back."
        )

    def test_it_goes_once_although_everything_is_revoked(self, client, number, person, provider):
        for _ in range(2):
            arrive(client, number, inbound("stop", at=str(int(timezone.now().timestamp()))))
        assert send_due() == 1
        (call,) = provider.sent
        assert (call.to, call.kind, call.payload) == (
            PHONE,
            "text",
            {"body": "You are unsubscribed."},
        )
        message = OutboundMessage.objects.get()
        assert (message.status, message.purpose) == (Status.SENT, ledger.REPLY)
        first = MessageEvent.objects.filter(message=message).order_by("id").first()
        assert (first.kind, first.actor) == ("accepted", "system:consent")

    def test_a_start_that_changes_nothing_is_not_confirmed(self, client, number):
        arrive(client, number, inbound("start"))
        assert not OutboundMessage.objects.exists()

    def test_a_stop_that_is_read_late_or_again_is_not_answered(self, client, number, person):
        late = timezone.now() - timedelta(minutes=20)
        arrive(client, number, inbound("stop", at=str(int(late.timestamp()))))
        assert answers(person)["marketing"] == "REVOKED"
        assert not OutboundMessage.objects.exists()

    def test_it_does_not_go_once_the_window_has_closed(self, client, number, person, provider):
        arrive(client, number, inbound("stop", at=str(int(timezone.now().timestamp()))))
        ServiceWindow.objects.update(last_inbound_at=timezone.now() - timedelta(days=2))
        send_due()
        assert OutboundMessage.objects.get().error_code == "OUTSIDE_SERVICE_WINDOW"

    def test_no_client_can_choose_its_purpose(self, api, number):
        body = {"to": PHONE, "type": "text", "text": {"body": "x"}, "purpose": ledger.REPLY}
        assert api.post("/api/v1/outbound-messages", body, format="json").status_code == 422
