"""Everything about a person: exported whole, erased from every table."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Consent, ConsentPolicy, Contact, RememberedStop
from messaging import chores, receipts
from messaging.models import (
    Erasure,
    OutboundAttempt,
    OutboundMessage,
    PhoneNumber,
    WebhookDelivery,
    WebhookEvent,
)
from messaging.persons import deliveries, erasing, exporting
from messaging.states import Status
from orgs.models import AuditEvent
from orgs.problems import Problem
from tests.factories.consent import ContactFactory
from tests.factories.messaging import AttemptFactory, MessageFactory, PhoneNumberFactory
from tests.messaging.test_webhooks import payload, post

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE = "+12025550123"
DIGITS = PHONE[1:]
BSUID = "US.13491208655302741918"
WAMID = "wamid." + base64.b64encode(f"HBgL{DIGITS}FQIA".encode()).decode()
SECRETS = [DIGITS, BSUID, WAMID, "Dear Ana", "my private answer", "client-ref-ana", "192.0.2.77"]
OTHER_PHONE = "+13035550188"


@pytest.fixture
def person(client, number) -> Contact:
    """Somebody of whom every table knows something."""
    contact = ContactFactory(org=number.org, phone=PHONE, bsuid=BSUID)
    consent(contact, "marketing")
    consent(contact, "transactional")
    message(number, contact, WAMID)
    arrive(
        client,
        payload(
            number,
            contacts=[
                {"profile": {"name": "Ana"}, "wa_id": DIGITS, "user_id": BSUID},
                {"profile": {"name": "Bo"}, "wa_id": OTHER_PHONE[1:]},
            ],
            messages=[
                inbound(PHONE, "my private answer", "wamid.in1"),
                inbound(OTHER_PHONE, "somebody else", "wamid.in2"),
            ],
            statuses=[
                {
                    "id": WAMID,
                    "status": "delivered",
                    "timestamp": str(int(timezone.now().timestamp())),
                    "recipient_id": DIGITS,
                },
                {"id": "wamid.unknown", "status": "read", "timestamp": "1794700000"},
            ],
        ),
    )
    return contact


def consent(contact: Contact, purpose: str) -> None:
    entry = ledger.Entry(
        contact.pk,
        "WHATSAPP",
        purpose,
        "api",
        "key:x",
        timezone.now() - timedelta(days=9),
        {"ip": "192.0.2.77"},
    )
    ledger.grant(contact.org, [entry])


def message(number: PhoneNumber, contact: Contact, wamid: str) -> OutboundMessage:
    made = MessageFactory(
        phone_number=number,
        contact=contact,
        status=Status.SENT,
        payload={"body": "Dear Ana"},
        reference="client-ref-ana",
        metadata={"note": "client-ref-ana"},
        idempotency_key=f"client-ref-ana-{wamid}",
        provider_message_id=wamid,
        last_attempt_number=1,
        attempt_count=1,
    )
    AttemptFactory(
        message=made,
        outcome="ACCEPTED",
        charged=True,
        provider_message_id=wamid,
        excerpt="Dear Ana",
    )
    return made


def inbound(phone: str, text: str, wamid: str) -> dict[str, Any]:
    return {
        "id": wamid,
        "from": phone[1:],
        "timestamp": str(int(timezone.now().timestamp())),
        "type": "text",
        "text": {"body": text},
    }


def arrive(client, body: dict[str, Any]) -> None:
    post(client, body)
    receipts.apply_pending()


def erase(person: Contact) -> Erasure:
    erasure = erasing.request(person, actor="user:1", reason="asked by mail")
    for _ in range(20):
        if not chores.do_some():
            break
    erasure.refresh_from_db()
    return erasure


def everything_stored() -> str:
    """Return every value of every table as one text, bytes included."""
    found: list[str] = []
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                found += [
                    bytes(value).decode("utf-8", "replace")
                    if isinstance(value, (bytes, memoryview))
                    else str(value)
                    for value in row
                ]
    return "\n".join(found)


class TestErasing:
    def test_nothing_of_the_person_is_left_in_any_table(self, person):
        before = everything_stored()
        assert [secret for secret in SECRETS if secret not in before] == []
        erasure = erase(person)
        after = everything_stored()
        assert [secret for secret in SECRETS if secret in after] == []
        assert erasure.finished_at
        person.refresh_from_db()
        assert (person.phone, person.bsuid, bool(person.erased_at)) == (None, None, True)

    def test_the_walk_reaches_every_model(self):
        tables = set(connection.introspection.table_names())
        assert {m._meta.db_table for m in apps.get_models() if m._meta.managed} <= tables

    def test_others_in_the_same_delivery_keep_their_events_and_places(self, person):
        erase(person)
        body = json.loads(bytes(WebhookDelivery.objects.get().body))
        value = body["entry"][0]["changes"][0]["value"]
        assert value["messages"][0] == {"erased": True}
        assert value["messages"][1]["text"]["body"] == "somebody else"
        assert value["statuses"] == [{"erased": True}, value["statuses"][1]]
        assert value["statuses"][1]["id"] == "wamid.unknown"
        assert value["contacts"][1]["wa_id"] == OTHER_PHONE[1:]
        kept = dict(WebhookEvent.objects.values_list("position", "provider_message_id"))
        assert kept == {0: "", 1: "wamid.unknown", 2: "", 3: "wamid.in2"}

    def test_counts_and_times_stay(self, person):
        erase(person)
        message = OutboundMessage.objects.get()
        assert (message.status, message.attempt_count) == (Status.DELIVERED, 1)
        assert message.sent_at
        assert message.events.exists()
        assert OutboundAttempt.objects.get().outcome == "ACCEPTED"

    def test_it_is_audited_by_ids(self, person):
        erasure = erase(person)
        rows = AuditEvent.objects.filter(target=f"contact:{person.pk}").order_by("id")
        assert [row.action for row in rows] == ["contact.erasure_requested", "contact.erased"]
        assert {(row.actor, row.reason) for row in rows} == {("user:1", "asked by mail")}
        assert rows[1].after == {"messages": 1, "deliveries": erasure.deliveries}

    def test_from_the_request_on_nothing_goes(self, number, person, provider):
        waiting = MessageFactory(phone_number=number, contact=person)
        erasing.request(person, actor="user:1", reason="r")
        assert not Consent.objects.filter(contact=person).exists()
        while chores.do_some():
            pass
        waiting.refresh_from_db()
        assert (waiting.status, waiting.error_code, waiting.to_recipient) == (
            Status.CANCELLED,
            "ERASED",
            "",
        )
        assert provider.sent == []

    def test_a_message_at_meta_is_emptied_once_it_is_answered(self, number, person):
        flying = MessageFactory(phone_number=number, contact=person, status=Status.SENDING)
        erasure = erase(person)
        assert erasure.finished_at is None
        OutboundMessage.objects.filter(pk=flying.pk).update(
            status=Status.FAILED, claim_id=None, lease_expires_at=None
        )
        assert erase(person).finished_at
        assert DIGITS not in everything_stored()

    def test_asked_twice_it_is_one(self, person):
        first = erase(person)
        assert erase(person).pk == first.pk
        assert Erasure.objects.count() == 1

    def test_what_another_organization_knows_is_its_own(self, client, person, other_org):
        theirs = PhoneNumberFactory(org=other_org)
        known = ContactFactory(org=other_org, phone=PHONE)
        mine = PhoneNumber.objects.get(org=person.org)
        body = payload(mine, messages=[inbound(PHONE, "to you", "wamid.x1")])
        theirs.account.app = mine.account.app
        theirs.account.save()
        body["entry"] += payload(theirs, messages=[inbound(PHONE, "to them", "wamid.x2")])["entry"]
        arrive(client, body)
        erase(person)
        stored = bytes(WebhookDelivery.objects.order_by("pk").last().body).decode()
        assert "to you" not in stored
        assert "to them" in stored
        known.refresh_from_db()
        assert known.phone == PHONE

    def test_deliveries_are_searched_range_by_range(self, client, number, person, monkeypatch):
        monkeypatch.setattr(deliveries, "RANGE", 1)
        for n in range(3):
            arrive(
                client, payload(number, messages=[inbound(PHONE, "a fourth word", f"wamid.r{n}")])
            )
        assert erase(person).searched_up_to == deliveries.latest()
        assert "a fourth word" not in everything_stored()

    def test_a_body_that_cannot_be_read_is_emptied_whole(self, client, number, person):
        post(client, f"not json {DIGITS}".encode())
        receipts.apply_pending()
        erase(person)
        assert bytes(WebhookDelivery.objects.order_by("pk").last().body) == b""


class TestStopAfterErasure:
    def stop(self, client, number) -> None:
        arrive(client, payload(number, messages=[inbound(PHONE, "stop", "wamid.stop")]))

    @pytest.mark.parametrize("known_by", [Recipient(PHONE, None), Recipient(None, BSUID)])
    def test_it_stays_effective(self, client, number, person, known_by):
        self.stop(client, number)
        erase(person)
        assert RememberedStop.objects.count() == 4  # two purposes, two names
        again = contacts.find_or_create(person.org, [known_by])[known_by]
        assert again.pk != person.pk
        with pytest.raises(Problem, match="opted out"):
            ledger.grant(
                person.org,
                [ledger.Entry(again.pk, "WHATSAPP", "marketing", "api", "k", timezone.now())],
            )

    def test_learning_the_other_name_later_brings_it_too(self, client, number, person):
        Contact.objects.filter(pk=person.pk).update(phone=None)
        person.refresh_from_db()
        wish = ledger.Entry(
            person.pk, "WHATSAPP", "marketing", "person", "person", timezone.now(), {"m": "stop"}
        )
        ledger.revoke(person.org, [wish])
        erase(person)
        contacts.find_or_create(person.org, [Recipient(PHONE, None)])
        both = Recipient(PHONE, BSUID)
        found = contacts.find_or_create(person.org, [both])[both]
        assert Consent.objects.get(contact=found, purpose="marketing").status == "REVOKED"

    def test_a_refused_grant_leaves_no_new_trace(self, client, number, person, api):
        self.stop(client, number)
        erase(person)
        body = {"phone": PHONE, "purpose": "marketing"}
        answer = api.post("/api/v1/consents", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "person_opted_out")
        assert DIGITS not in everything_stored()

    def test_who_said_no_stop_may_agree_anew(self, person, api):
        erase(person)
        body = {"phone": PHONE, "purpose": "marketing"}
        assert api.post("/api/v1/consents", body, format="json").status_code == 201

    def test_another_organization_is_not_bound_by_it(self, client, number, person, other_org):
        self.stop(client, number)
        erase(person)
        somebody = Recipient(PHONE, None)
        contacts.find_or_create(other_org, [somebody])
        assert not Consent.objects.filter(org=other_org).exists()


class TestExport:
    def test_it_holds_everything_and_is_audited(self, person):
        document = json.loads(b"".join(exporting.export(person, actor="user:1")))
        assert document["person"]["phone"] == PHONE
        assert {row["purpose"] for row in document["consents"]} == {"marketing", "transactional"}
        assert document["consents"][0]["history"][0]["proof"] == {"ip": "192.0.2.77"}
        (message,) = document["messages"]
        assert message["payload"] == {"body": "Dear Ana"}
        assert message["attempts"][0]["provider_message_id"] == WAMID
        assert message["timeline"]
        assert len(document["windows"]) == 1
        texts = json.dumps(document["received"])
        assert "my private answer" in texts
        assert "delivered" in texts
        assert "somebody else" not in texts
        assert AuditEvent.objects.get(action="contact.exported").actor == "user:1"

    def test_somebody_of_whom_little_is_known(self, org):
        ConsentPolicy.objects.create(org=org)
        document = json.loads(b"".join(exporting.export(ContactFactory(org=org), actor="user:1")))
        assert document["messages"] == document["consents"] == document["received"] == []
