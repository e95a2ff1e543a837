"""Everything about a person: exported whole, erased from every table."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import BinaryField, Field, JSONField, Model, TextField
from django.utils import timezone

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Consent, ConsentImport, ConsentPolicy, Contact, ImportPart
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
from tests.factories.consent import ContactFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.messaging.persons.cast import (
    DIGITS,
    OTHER_PHONE,
    PHONE,
    SECRETS,
    WAMID,
    arrive,
    consent,
    erase,
    everything_stored,
    inbound,
    upload,
)
from tests.messaging.test_webhooks import payload, post

pytestmark = [pytest.mark.django_db, pytest.mark.core]


# Kinds of rows of which people have some, by what they refer to.
PEOPLE = {Contact, Consent, ConsentImport, OutboundMessage, OutboundAttempt, WebhookDelivery}
# Texts of ours, of staff or of Meta: nothing in them is about a person.
NOT_OF_PEOPLE = {
    *("Alert", "CheckRun", "Notice", "Route"),
    *("ApiKey", "HashKey", "SecondFactor"),
    *("Activity", "BulkOperation", "FailureStreak", "HealthReport"),
    *("BusinessAccount", "ConsentPolicy", "MessageTemplate", "MetaApp"),
    "DeadLetter",  # another view of messages
}
OURS = {"alerts", "consent", "messaging", "orgs", "ratelimit"}


def of_people() -> list[type[Model]]:
    """Return every model of ours that refers to a person, or holds text or bytes."""
    return [
        model
        for model in apps.get_models()
        if model._meta.app_label in OURS
        and model.__name__ not in NOT_OF_PEOPLE
        and any(map(_tells, model._meta.concrete_fields))
    ]


def _tells(field: Field) -> bool:
    refers = field.related_model in PEOPLE or field.attname in {"contact_id", "message_id"}
    return refers or isinstance(field, (TextField, JSONField, BinaryField))


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

    def test_the_walk_reaches_every_model(self, person):
        tables = set(connection.introspection.table_names())
        assert {m._meta.db_table for m in apps.get_models() if m._meta.managed} <= tables
        empty = {model.__name__ for model in of_people() if not model.objects.exists()}
        assert empty == {"AuditEvent", "Erasure"}  # they come with the erasing

    def test_a_file_that_waits_loses_their_rows_and_keeps_the_others(self, person):
        erase(person)
        (part,) = ImportPart.objects.all()
        assert part.rows == [[3, [OTHER_PHONE, "marketing", ""]]]
        assert ConsentImport.objects.get().rows == 1

    def test_a_file_that_is_being_recorded_does_not_bring_them_back(self, person):
        erasing.request(person, actor="user:1", reason="r")
        ConsentImport.objects.update(state="RECORDING")
        erase(person)
        assert not Contact.objects.filter(phone=PHONE).exists()
        assert Contact.objects.filter(phone=OTHER_PHONE).exists()

    def test_a_file_that_is_still_being_uploaded_is_awaited(self, person):
        made = upload(person.org, state="UPLOADING")
        assert erase(person).finished_at is None
        ConsentImport.objects.filter(pk=made.pk).update(state="READY")
        assert erase(person).finished_at

    def test_files_of_others_and_later_ones_stay_as_they_are(self, person, other_org):
        upload(other_org)
        upload(person.org, created_at=timezone.now() + timedelta(minutes=1))
        erase(person)
        rows = ImportPart.objects.order_by("of").values_list("rows", flat=True)
        assert [len(part) for part in rows] == [1, 2, 2]

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

    def test_webhooks_are_searched_when_all_that_was_under_way_is_stored(self, person, monkeypatch):
        monkeypatch.setattr(erasing, "SETTLE", timedelta(minutes=1))
        erasure = erase(person)
        assert (erasure.finished_at, erasure.searched_up_to) == (None, 0)
        Erasure.objects.update(emptied_at=timezone.now() - timedelta(seconds=61))
        assert erase(person).finished_at

    def test_who_comes_back_before_the_end_is_somebody_new(self, client, number, person):
        erasure = erasing.request(person, actor="user:1", reason="r")
        back = contacts.find_or_create(person.org, [Recipient(PHONE, None)])
        again = back[Recipient(PHONE, None)]
        assert again.pk != person.pk
        consent(again, "marketing")
        erase(person)
        erasure.refresh_from_db()
        assert erasure.finished_at
        assert Consent.objects.get().contact == again

    def test_nothing_is_recorded_about_who_was_erased_meanwhile(self, person):
        erasing.request(person, actor="user:1", reason="r")
        entry = ledger.Entry(person.pk, "WHATSAPP", "marketing", "api", "k", timezone.now())
        with pytest.raises(ledger.GoneMeanwhileError):
            ledger.grant(person.org, [entry])
        assert not Consent.objects.exists()

    def test_one_that_fails_holds_up_no_other(self, person, number, monkeypatch):
        second = ContactFactory(org=number.org, phone="+13035550177")
        search = erasing._search_deliveries
        monkeypatch.setattr(
            erasing,
            "_search_deliveries",
            lambda erasure, before: (
                1 // (erasure.contact_id - person.pk) and search(erasure, before)
            ),
        )
        first = erase(person)
        assert erase(second).finished_at
        first.refresh_from_db()
        assert first.finished_at is None

    def test_many_wait_for_their_answers_and_hold_up_no_other(self, number, monkeypatch):
        monkeypatch.setattr(erasing, "OPEN", 2)
        for n in range(3):
            waiting = ContactFactory(org=number.org, phone=f"+1202555015{n}")
            MessageFactory(phone_number=number, contact=waiting, status=Status.SENDING)
            erasing.request(waiting, actor="user:1", reason="r")
        last = ContactFactory(org=number.org, phone="+12025550159")
        assert [erase(last).finished_at is None for _ in range(2)][-1] is False


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

    def test_what_is_not_known_to_be_of_the_organization_is_left_out(self, client, number, person):
        body = payload(number, messages=[inbound(PHONE, "for somebody else", "wamid.f1")])
        value = body["entry"][0]["changes"][0]["value"]
        value["metadata"]["phone_number_id"] = "999999999999999"
        arrive(client, body)
        assert WebhookEvent.objects.filter(org=None).exists()
        document = json.loads(b"".join(exporting.export(person, actor="user:1")))
        assert "for somebody else" not in json.dumps(document["received"])

    def test_somebody_of_whom_little_is_known(self, org):
        ConsentPolicy.objects.create(org=org)
        document = json.loads(b"".join(exporting.export(ContactFactory(org=org), actor="user:1")))
        assert document["messages"] == document["consents"] == document["received"] == []
