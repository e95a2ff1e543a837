"""What people write is kept, linked and forgotten; who changes their name keeps their consents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import ledger
from consent.models import Consent, Contact
from messaging import claims, receipts, retention
from messaging.models import InboundMessage, WebhookEvent
from messaging.states import Status
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import AttemptFactory, MessageFactory, PhoneNumberFactory
from tests.messaging.test_webhooks import payload, post

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE, NEW_PHONE = "+12025550123", "+12025550124"
BSUID, NEW_BSUID = "US.90000000000000000001", "US.90000000000000000002"


def write(kind: str, wamid: str = "wamid.in", **content: Any) -> dict[str, Any]:
    return {
        "id": wamid,
        "from": PHONE[1:],
        "timestamp": str(int(timezone.now().timestamp())),
        "type": kind,
        **content,
    }


def arrive(client, number, *messages: dict[str, Any]) -> None:
    post(client, payload(number, messages=list(messages)))
    receipts.apply_pending()


class TestKeeping:
    @pytest.mark.parametrize(
        ("kind", "content", "text"),
        [
            ("text", {"text": {"body": "Hello"}}, "Hello"),
            ("image", {"image": {"id": "1", "caption": "Look"}}, "Look"),
            ("image", {"image": {"id": "1"}}, ""),
            ("document", {"document": {"id": "1", "filename": "a.pdf"}}, "a.pdf"),
            ("audio", {"audio": {"id": "1", "voice": True}}, ""),
            ("location", {"location": {"latitude": 1, "longitude": 2, "name": "Home"}}, "Home"),
            ("button", {"button": {"payload": "P", "text": "Yes"}}, "Yes"),
            (
                "interactive",
                {"interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "A"}}},
                "A",
            ),
            ("order", {"order": {"catalog_id": "1", "text": "Soon please"}}, "Soon please"),
            ("contacts", {"contacts": [{}]}, ""),
            ("brand_new", {"brand_new": 7}, ""),
        ],
    )
    def test_every_type_is_kept_with_its_words(self, client, number, kind, content, text):
        arrive(client, number, write(kind, **content))
        kept = InboundMessage.objects.get()
        assert (kept.kind, kept.text, kept.contact.phone) == (kind, text, PHONE)

    def test_told_twice_it_is_kept_once(self, client, number):
        arrive(client, number, write("text", text={"body": "Hi"}))
        arrive(client, number, write("text", text={"body": "Hi"}))
        assert InboundMessage.objects.count() == 1

    @pytest.mark.parametrize(
        "content",
        [
            {"type": "text", "text": {"body": "Yes"}, "context": {"id": "wamid.out"}},
            {"type": "reaction", "reaction": {"message_id": "wamid.out", "emoji": "x"}},
        ],
    )
    def test_an_answer_knows_what_it_answers(self, client, number, content):
        message = MessageFactory(phone_number=number, status=Status.SENT)
        AttemptFactory(message=message, provider_message_id="wamid.out")
        kind = content.pop("type")
        arrive(client, number, write(kind, **content))
        assert InboundMessage.objects.get().reply_to == message.pk

    def test_a_message_of_another_number_is_not_what_it_answers(self, client, number):
        message = MessageFactory(phone_number=PhoneNumberFactory(), status=Status.SENT)
        AttemptFactory(message=message, provider_message_id="wamid.out")
        arrive(client, number, write("text", text={"body": "Yes"}, context={"id": "wamid.out"}))
        assert InboundMessage.objects.get().reply_to is None

    def test_without_retention_no_text_is_kept(self, client, number, settings):
        settings.OUTBOUND_INBOUND_TEXT_DAYS = 0
        arrive(client, number, write("text", text={"body": "secret"}))
        assert InboundMessage.objects.get().text == ""

    def test_texts_go_after_their_days_and_the_rest_stays(self, client, number, settings):
        arrive(client, number, write("text", "wamid.1", text={"body": "old"}))
        ago = timezone.now() - timedelta(days=settings.OUTBOUND_INBOUND_TEXT_DAYS, seconds=1)
        InboundMessage.objects.update(received_at=ago)
        arrive(client, number, write("text", "wamid.2", text={"body": "new"}))
        assert retention.purge_inbound_texts() == 1
        assert retention.purge_inbound_texts() == 0
        assert sorted(InboundMessage.objects.values_list("text", flat=True)) == ["", "new"]

    def test_rows_go_as_messages_do(self, client, number, settings):
        arrive(client, number, write("text", text={"body": "old"}))
        days = settings.OUTBOUND_MESSAGE_RETENTION_DAYS + 1
        InboundMessage.objects.update(received_at=timezone.now() - timedelta(days=days))
        assert retention.purge_inbound() == 1

    def test_clients_read_what_was_written_to_them(self, client, api, number):
        arrive(client, number, write("text", text={"body": "Hello"}))
        other = PhoneNumberFactory(account__app=number.account.app)
        arrive(client, other, write("text", text={"body": "Not yours"}))
        (row,) = api.get("/api/v1/inbound-messages").json()["results"]
        assert (row["from"], row["type"], row["text"]) == (PHONE, "text", "Hello")
        assert api.get("/api/v1/inbound-messages?from=%2B12025550199").json()["results"] == []


class TestNewName:
    def change(self, client, number, **system: Any) -> None:
        told = {"type": "user_changed_number", "body": "changed", **system}
        arrive(client, number, write("system", system=told))

    def granted(self, org, phone: str = PHONE, **fields: Any) -> Consent:
        contact = ContactFactory(org=org, phone=phone, **fields)
        entry = ledger.Entry(
            contact.pk, "WHATSAPP", "transactional", "api", "key:x", timezone.now()
        )
        return ledger.grant(org, [entry])[0]

    def test_consents_go_with_the_person_to_the_new_number(self, client, org, number):
        self.granted(org)
        self.change(client, number, wa_id=NEW_PHONE[1:])
        new = Consent.objects.get(contact__phone=NEW_PHONE)
        assert (new.status, new.source, new.purpose) == ("GRANTED", "api", "transactional")

    def test_the_old_number_may_not_be_written_to_any_more(self, client, org, number, provider):
        consent = self.granted(org)
        message = MessageFactory(phone_number=number, contact=consent.contact)
        self.change(client, number, wa_id=NEW_PHONE[1:])
        consent.refresh_from_db()
        assert consent.status == "REVOKED"
        claims.claim_due(10)
        message.refresh_from_db()
        assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")

    def test_a_stop_is_not_lost(self, client, org, number):
        self.granted(org)
        arrive(client, number, write("text", "wamid.stop", text={"body": "STOP"}))
        ConsentFactory(contact=ContactFactory(org=org, phone=NEW_PHONE))
        self.change(client, number, wa_id=NEW_PHONE[1:])
        assert "REVOKED" in set(
            Consent.objects.filter(contact__phone=NEW_PHONE).values_list("status", flat=True)
        )

    @pytest.mark.parametrize("times", [1, 2])
    def test_told_late_it_leaves_what_the_next_owner_of_the_number_decided(
        self, client, org, number, times
    ):
        changed_at = timezone.now() - timedelta(days=10)
        owner = ContactFactory(org=org, phone=PHONE)

        def decide(deed, purpose: str, days: int) -> None:
            at = changed_at + timedelta(days=days)
            deed(org, [ledger.Entry(owner.pk, "WHATSAPP", purpose, "api", "key:x", at)])

        decide(ledger.grant, "transactional", -1)
        decide(ledger.grant, "transactional", 5)
        decide(ledger.grant, "marketing", 6)
        decide(ledger.revoke, "marketing", 7)
        for _ in range(times):
            told = {"type": "user_changed_number", "body": "changed", "wa_id": NEW_PHONE[1:]}
            at = str(int(changed_at.timestamp()))
            arrive(client, number, {**write("system", system=told), "timestamp": at})
        of_new = Consent.objects.filter(contact__phone=NEW_PHONE)
        assert list(of_new.values_list("purpose", "status")) == [("transactional", "GRANTED")]
        assert of_new.get().decided_at == changed_at - timedelta(days=1)
        assert dict(Consent.objects.filter(contact=owner).values_list("purpose", "status")) == {
            "transactional": "GRANTED",
            "marketing": "REVOKED",
        }

    def test_told_twice_it_changes_nothing_more(self, client, org, number):
        self.granted(org)
        self.change(client, number, wa_id=NEW_PHONE[1:])
        before = sorted(Consent.objects.values_list("contact__phone", "status"))
        self.change(client, number, wa_id=NEW_PHONE[1:])
        assert sorted(Consent.objects.values_list("contact__phone", "status")) == before

    def test_a_new_id_beside_the_same_phone_is_noted(self, client, org, number):
        self.granted(org, bsuid=BSUID)
        self.change(client, number, type="user_changed_user_id", user_id=NEW_BSUID)
        assert Contact.objects.get(phone=PHONE).bsuid == NEW_BSUID
        assert Consent.objects.get().status == "GRANTED"

    def test_it_is_no_message_and_opens_no_window(self, client, org, number):
        self.granted(org)
        self.change(client, number, wa_id=NEW_PHONE[1:])
        assert not InboundMessage.objects.exists()
        assert WebhookEvent.objects.get().topic == "message system"

    def test_a_stranger_who_changes_is_nobodys_business(self, client, number):
        self.change(client, number, wa_id=NEW_PHONE[1:])
        assert not Contact.objects.exists()
