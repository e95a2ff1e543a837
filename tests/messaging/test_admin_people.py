"""A person's page in the console, and their rights."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from consent import ledger
from consent.models import Consent, ConsentEvent, Contact
from messaging import chores
from messaging.models import Erasure, ServiceWindow
from messaging.persons import erasing
from orgs.models import AuditEvent
from tests.factories.consent import ContactFactory
from tests.factories.messaging import MessageFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE = "+12025550123"
SHOW = "contact-unmasked"
# What a proof may hold: words, an address, and where a client thought of no name, a number.
SECRETS = ("Yes, please", "192.0.2.77", "+12025550188")


@pytest.fixture
def person(number) -> Contact:
    contact = ContactFactory(org=number.org, phone=PHONE, bsuid="US.1349")
    at = timezone.now() - timedelta(days=2)
    proof = {"text": SECRETS[0], "ip": SECRETS[1], SECRETS[2]: "called"}
    entry = ledger.Entry(contact.pk, "WHATSAPP", "marketing", "api", "key:x", at, proof)
    ledger.grant(number.org, [entry])
    MessageFactory(phone_number=number, contact=contact)
    ServiceWindow.objects.create(
        org=number.org, phone_number=number, contact=contact, last_inbound_at=timezone.now()
    )
    return contact


def page(person: Contact, action: str = "change") -> str:
    if action == "change":
        return reverse("admin:consent_contact_change", args=[person.pk])
    return f"/admin/consent/contact/{person.pk}/{action}/"


def test_the_page_shows_all_that_belongs_to_the_person(admin_client, person):
    text = admin_client.get(page(person)).content.decode()
    for shown in ("Granted", "Ip, Other, Text", "order_update", "open until"):
        assert shown in text


def test_a_proof_is_told_by_its_kind_until_somebody_who_may_opens_it(client, person):
    consent = Consent.objects.get()
    consent_page = reverse("admin:consent_consent_change", args=[consent.pk])
    show = f"/admin/consent/consent/{consent.pk}/consent-proofs_opened/"
    rights = ("view_contact", "view_consent")
    client.force_login(staff_user(*rights))
    for address in (page(person), consent_page):
        text = client.get(address).content.decode()
        assert "Ip, Other, Text" in text
        assert show.rstrip("/") not in text
        assert not any(secret in text for secret in SECRETS)
    assert client.post(show).status_code == 403
    client.force_login(staff_user(*rights, "open_content"))
    text = client.get(consent_page).content.decode() + client.get(show).content.decode()
    assert show.rstrip("/") in text
    assert not any(secret in text for secret in SECRETS)
    assert not AuditEvent.objects.filter(action="consent.proofs_opened").exists()
    answer = client.post(show, {"reason": "a complaint"}).content.decode()
    assert all(secret in answer for secret in SECRETS)
    row = AuditEvent.objects.get(action="consent.proofs_opened")
    assert (row.org, row.target, row.reason) == (
        person.org,
        f"consent:{consent.pk}",
        "a complaint",
    )


def test_phone_and_id_are_masked_until_somebody_asks(admin_client, person):
    asked = admin_client.get(page(person)).content + admin_client.get(page(person, SHOW)).content
    assert PHONE not in asked.decode()
    assert "US.1349" not in asked.decode()
    answer = admin_client.post(page(person, SHOW), {"reason": "calls back"}).content.decode()
    assert PHONE in answer
    assert "US.1349" in answer
    row = AuditEvent.objects.get(action="contact.unmasked")
    assert (row.org, row.target, row.reason) == (
        person.org,
        f"contact:{person.pk}",
        "calls back",
    )


def test_who_has_no_right_to_it_sees_no_phone(client, person):
    client.force_login(staff_user("view_contact"))
    assert page(person, SHOW) not in client.get(page(person)).content.decode()
    assert client.post(page(person, SHOW)).status_code == 403


def test_the_list_is_masked_and_finds_by_phone_and_id(admin_client, person):
    url = reverse("admin:consent_contact_changelist")
    assert PHONE not in admin_client.get(url).content.decode()
    for term in (PHONE, "US.1349"):
        assert page(person) in admin_client.get(url, {"q": term}).content.decode()
    assert page(person) not in admin_client.get(url, {"q": "+13035550100"}).content.decode()


def test_a_page_that_does_not_exist_is_left_again(admin_client):
    assert admin_client.get("/admin/consent/contact/nonsense/change/").status_code == 302


def test_the_time_zone_is_set_and_audited(admin_client, person):
    answer = admin_client.post(page(person), {"time_zone": "America/Denver"})
    assert answer.status_code == 302
    person.refresh_from_db()
    assert person.time_zone == "America/Denver"
    event = AuditEvent.objects.get(action="contact.time_zone_changed")
    assert (event.before, event.after) == ({"time_zone": ""}, {"time_zone": "America/Denver"})


def test_a_time_zone_nobody_knows_is_refused(admin_client, person):
    assert admin_client.post(page(person), {"time_zone": "Mars/Olympus"}).status_code == 200


def test_everything_is_handed_out_as_a_file(admin_client, person):
    answer = admin_client.get(page(person, "export"))
    document = json.loads(b"".join(answer.streaming_content))
    assert document["person"]["phone"] == PHONE
    assert "attachment" in answer.headers["Content-Disposition"]
    assert AuditEvent.objects.filter(action="contact.exported").count() == 1


def test_erasing_asks_why_first_and_is_done_once(admin_client, person, monkeypatch):
    asked = admin_client.get(page(person, "erase"))
    assert "erased for ever" in asked.content.decode()
    assert not Erasure.objects.exists()
    admin_client.post(page(person, "erase"), {"confirmed": "yes", "reason": ""})
    assert not Erasure.objects.exists()
    done = admin_client.post(
        page(person, "erase"), {"confirmed": "yes", "reason": "by letter"}, follow=True
    )
    assert "Nothing more is sent" in done.content.decode()
    monkeypatch.setattr(erasing, "SETTLE", timedelta(0))
    while chores.do_some():
        pass
    person.refresh_from_db()
    assert person.erased_at
    assert page(person, "erase") not in admin_client.get(page(person)).content.decode()
    shown = admin_client.get(reverse("admin:consent_contact_changelist")).content.decode()
    assert "erased" in shown


class TestDecision:
    def send(self, client, person: Contact, **fields: str):
        form = {
            "status": "GRANTED",
            "purpose": "marketing",
            "channel": "WHATSAPP",
            "proof": "Signed form of the fair",
            "reason": "handed in at the desk",
            **fields,
        }
        return client.post(page(person, "decide"), form, follow=True)

    def said_stop(self, person: Contact, at: datetime) -> None:
        proof = {"word": "stop"}
        entry = ledger.Entry(person.pk, "WHATSAPP", "marketing", "person", "person", at, proof)
        ledger.revoke(person.org, [entry])

    def test_an_agreement_is_recorded_with_proof_and_audited_with_reason(
        self, admin_client, person
    ):
        shown = admin_client.get(page(person)).content.decode()
        assert page(person, "decide").rstrip("/") in shown
        answer = self.send(admin_client, person, purpose="transactional")
        assert "What holds now: granted" in answer.content.decode()
        made = Consent.objects.get(contact=person, purpose="transactional")
        assert (made.status, made.source) == ("GRANTED", "console")
        assert made.proof == {"text": "Signed form of the fair"}
        event = AuditEvent.objects.get(action="consent.granted")
        assert (event.reason, event.target) == ("handed in at the desk", f"consent:{made.pk}")
        assert (event.before, event.after) == ({"status": "MISSING"}, {"status": "GRANTED"})

    @pytest.mark.parametrize("status", ["DENIED", "REVOKED"])
    def test_a_refusal_needs_no_proof(self, admin_client, person, status):
        self.send(admin_client, person, status=status, proof="")
        assert Consent.objects.get(contact=person, purpose="marketing").status == status
        assert AuditEvent.objects.filter(action=f"consent.{status.lower()}").exists()

    @pytest.mark.parametrize(
        "fields",
        [
            {"proof": ""},
            {"reason": ""},
            {"status": "MAYBE"},
            {"occurred_at_0": "2999-01-01", "occurred_at_1": "10:00"},
        ],
    )
    def test_what_is_missing_or_wrong_is_asked_for_again(self, admin_client, person, fields):
        before = ConsentEvent.objects.count()
        assert self.send(admin_client, person, **fields).status_code == 200
        assert ConsentEvent.objects.count() == before

    def test_a_stop_is_undone_only_by_an_agreement_dated_later(self, admin_client, person):
        self.said_stop(person, timezone.now() - timedelta(hours=1))
        old = {"occurred_at_0": "2026-01-02", "occurred_at_1": "10:00:00"}
        answer = self.send(admin_client, person, **old)
        assert "has asked for no more messages" in answer.content.decode()
        assert not AuditEvent.objects.filter(action="consent.granted").exists()
        self.send(admin_client, person)
        assert Consent.objects.get(contact=person).status == "GRANTED"

    def test_it_needs_a_permission_and_somebody_who_is_not_erased(
        self, client, admin_client, person
    ):
        clerk = staff_user("view_contact")
        client.force_login(clerk)
        assert client.get(page(person, "decide")).status_code == 403
        erasing.request(person, actor="user:1", reason="r")
        assert self.send(admin_client, person).status_code == 403
        assert not Consent.objects.exists()


@pytest.mark.parametrize("action", ["export", "erase"])
def test_both_need_a_permission_of_their_own(client, person, action):
    clerk = staff_user("view_contact")
    client.force_login(clerk)
    assert client.get(page(person)).status_code == 200
    assert client.get(page(person, action)).status_code == 403
    client.post(page(person, action), {"confirmed": "yes", "reason": "x"})
    assert not Erasure.objects.exists()
    clerk.user_permissions.add(Permission.objects.get(codename=f"{action}_contact"))
    assert client.get(page(person, action)).status_code == 200
