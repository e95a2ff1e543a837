"""Marketing waits for the morning and is never dropped."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent import contacts, ledger
from consent.models import ConsentPolicy, Contact
from messaging import chores, claims, quiet_hours
from messaging.models import OutboundMessage, PhoneNumber
from messaging.states import Status
from orgs import database
from orgs.models import AuditEvent
from tests.drive import send_due
from tests.factories.consent import ContactFactory
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture
def policy(org) -> ConsentPolicy:
    """Quiet for the next hours wherever the clock says what it says in UTC."""
    now = timezone.now()
    return ConsentPolicy.objects.create(
        org=org,
        quiet_from=(now - timedelta(hours=1)).time().replace(microsecond=0),
        quiet_until=(now + timedelta(hours=2)).time().replace(microsecond=0),
        time_zone="UTC",
    )


def person(org, **fields: object) -> Contact:
    contact = ContactFactory(org=org, **{"time_zone": "UTC", **fields})
    at = timezone.now() - timedelta(days=30)
    entries = [
        ledger.Entry(contact.pk, "WHATSAPP", purpose, "api", "key:x", at)
        for purpose in ("marketing", "transactional")
    ]
    ledger.grant(org, entries)
    return contact


def queued(number: PhoneNumber, purpose: str = "marketing", **fields: object) -> OutboundMessage:
    contact = fields.pop("contact", None) or person(number.org)
    return MessageFactory(phone_number=number, contact=contact, purpose=purpose, **fields)


def until(policy: ConsentPolicy) -> datetime:
    end = datetime.combine(timezone.now().date(), policy.quiet_until, UTC)
    return end if end > timezone.now() else end + timedelta(days=1)


def test_marketing_waits_for_the_end_and_the_rest_goes(number, policy, provider):
    marketing = queued(number)
    utility = queued(number, "transactional")
    send_due()
    marketing.refresh_from_db()
    utility.refresh_from_db()
    assert (marketing.status, marketing.due_at) == (Status.QUEUED, until(policy))
    assert utility.status == Status.SENT
    assert marketing.last_attempt_number == marketing.attempt_count == 0


def test_it_goes_when_they_are_over(number, policy, provider, monkeypatch):
    marketing = queued(number)
    send_due()
    morning = until(policy) + timedelta(seconds=1)
    monkeypatch.setattr(database, "now", lambda: morning)
    claim = claims.claim_due(10)
    assert [row.pk for row in claim.messages] == [marketing.pk]


def test_where_it_is_day_it_goes_at_once(number, policy, provider):
    far = person(number.org, time_zone="Etc/GMT+12")
    message = queued(number, contact=far)
    assert send_due() == 1
    message.refresh_from_db()
    assert message.status == Status.SENT


def test_an_organization_without_quiet_hours_keeps_none(number, provider):
    queued(number)
    assert send_due() == 1


def test_the_api_says_why_and_until_when(number, policy, provider, api):
    message = queued(number)
    send_due()
    shown = api.get(f"/api/v1/outbound-messages/{message.pk}").json()
    assert shown["hold_reason"] == "quiet_hours"
    assert datetime.fromisoformat(shown["next_look_at"]) == until(policy)


def test_a_later_schedule_of_the_client_is_the_reason_that_is_told(number, policy, api):
    later = timezone.now() + timedelta(days=2)
    message = queued(number, scheduled_at=later, due_at=later)
    shown = api.get(f"/api/v1/outbound-messages/{message.pk}").json()
    assert shown["hold_reason"] == "scheduled"


def test_the_statements_of_a_claim_do_not_grow_with_the_messages(number, policy):
    queued(number)
    claims.claim_due(100)  # what is made once per organisation is there from here on
    counts = []
    for many in (2, 40):
        for _ in range(many):
            queued(number)
        with CaptureQueriesContext(connection) as captured:
            claims.claim_due(100)
        counts.append(len(captured))
    assert counts[0] == counts[1]


class TestChange:
    def change(self, policy: ConsentPolicy, **fields: object) -> None:
        for name, value in fields.items():
            setattr(policy, name, value)
        policy.hours_changed_at = database.now()
        policy.save()

    def test_when_they_are_given_up_the_messages_go_at_once(self, number, policy, provider):
        message = queued(number)
        send_due()
        self.change(policy, quiet_from=None, quiet_until=None)
        assert quiet_hours.reconsider() == 1
        assert quiet_hours.reconsider() == 0
        assert send_due() == 1
        message.refresh_from_db()
        assert message.status == Status.SENT

    def test_what_is_still_quiet_is_held_back_again(self, number, policy, provider):
        message = queued(number)
        send_due()
        longer = (until(policy) + timedelta(hours=1)).time()
        self.change(policy, quiet_until=longer)
        quiet_hours.reconsider()
        assert send_due() == 0
        assert quiet_hours.reconsider() == 0
        message.refresh_from_db()
        assert message.due_at == until(policy)

    def test_what_the_client_scheduled_stays(self, number, policy, provider):
        later = timezone.now() + timedelta(days=2)
        message = queued(number, scheduled_at=later, due_at=later)
        self.change(policy, quiet_from=None, quiet_until=None)
        quiet_hours.reconsider()
        message.refresh_from_db()
        assert message.due_at == later

    def test_a_person_who_turns_out_to_be_elsewhere_is_written_to(self, number, policy, provider):
        there = person(number.org)
        queued(number, contact=there)
        send_due()
        contacts.set_zones(number.org, {there.pk: "Etc/GMT+12"})
        assert quiet_hours.reconsider_people() == 1
        assert quiet_hours.reconsider_people() == 0
        assert send_due() == 1

    def test_a_zone_given_over_the_api_frees_them_too(self, number, policy, provider, api):
        there = person(number.org)
        queued(number, contact=there)
        send_due()
        body = {"phone": there.phone, "purpose": "marketing", "time_zone": "Etc/GMT+12"}
        assert api.post("/api/v1/consents", body, format="json").status_code == 201
        while chores.do_some():
            pass
        assert send_due() == 1

    def test_a_zone_that_is_known_already_disturbs_nothing(self, number, policy):
        there = person(number.org)
        contacts.set_zones(number.org, {there.pk: "Etc/GMT+12"})
        quiet_hours.reconsider_people()
        contacts.set_zones(number.org, {there.pk: "Etc/GMT+12"})
        assert quiet_hours.reconsider_people() == 0

    def test_nobody_of_another_organization_is_moved(self, number, other_org):
        theirs = ContactFactory(org=other_org, phone="+12025550177")
        contacts.set_zones(number.org, {theirs.pk: "Etc/GMT+12"})
        theirs.refresh_from_db()
        assert theirs.time_zone == ""


class TestConsole:
    URL = "/admin/consent/consentpolicy/add/"

    def form(self, org, **fields: str) -> dict[str, str]:
        return {
            "org": str(org.pk),
            "stop_scope": "everything",
            "button_scope": "marketing",
            "stop_words": "Genug\n\n basta ",
            "quiet_from": "21:00",
            "quiet_until": "08:00",
            "time_zone": "Europe/Paris",
            **fields,
        }

    def test_the_rules_are_kept_and_audited(self, admin_client, org):
        answer = admin_client.post(self.URL, self.form(org))
        assert answer.status_code == 302
        kept = ConsentPolicy.objects.get()
        assert kept.stop_words == ["Genug", "basta"]
        assert (kept.quiet_from, kept.quiet_until) == (time(21), time(8))
        assert kept.hours_changed_at is not None
        event = AuditEvent.objects.get(action="consent_policy.created")
        assert event.after["quiet_from"] == "21:00:00"

    @pytest.mark.parametrize(
        "fields",
        [{"time_zone": "Mars/Olympus"}, {"quiet_until": ""}, {"quiet_until": "21:00"}],
    )
    def test_what_makes_no_sense_is_refused(self, admin_client, org, fields):
        assert admin_client.post(self.URL, self.form(org, **fields)).status_code == 200
        assert not ConsentPolicy.objects.exists()
