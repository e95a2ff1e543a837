"""What stood still while a message was under way, as its page tells it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert
from console.message import timeline
from messaging import circuit, pausing
from messaging.models import OutboundMessage
from messaging.operations import Instruction
from messaging.providers.base import Outcome, Result
from messaging.states import Cause, Status
from orgs import audit, database
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold
from tests.factories.messaging import MessageFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

HOUR = timedelta(hours=1)


@pytest.fixture
def message(number) -> OutboundMessage:
    return MessageFactory(phone_number=number, at=database.now() - HOUR)


def told(message, reach=None) -> list[timeline.Entry]:
    entries = timeline.read(OutboundMessage.objects.get(pk=message.pk), reach, database.now())
    return [entry for entry in entries if entry.source in {"Hold", "Incident"}]


def titles(message, reach=None) -> list[str]:
    return [entry.title for entry in told(message, reach)]


def by_staff(reason: str) -> Instruction:
    actor = User.objects.filter(username="ada").first() or User.objects.create_user("ada")
    return Instruction(f"user:{actor.pk}", Cause.STAFF, reason)


def test_a_pause_is_told_with_who_and_why_and_that_it_stands(message, number):
    pausing.pause(number, by_staff("checking the shop"))
    (entry,) = told(message)
    assert (entry.title, entry.who) == ("Paused: number", "ada")
    assert ("Reason", "checking the shop") in entry.lines
    assert ("In force", "until it is lifted") in entry.lines
    pausing.resume(number, by_staff("all is well"))
    paused, lifted = told(message)
    assert not any(name == "In force" for name, _text in paused.lines)
    assert lifted.title == "Hold lifted: paused by staff of number"
    assert ("Reason", "all is well") in lifted.lines


def test_a_pause_of_the_organisation_from_before_the_message_is_told_while_it_stands(org, number):
    pausing.pause(org, by_staff("the campaign stops"))
    message = MessageFactory(phone_number=number)
    (entry,) = told(message)
    assert entry.title == "On hold: organisation, paused by staff"
    assert ("Told", "the campaign stops") in entry.lines


def test_a_circuit_is_told_when_it_opens_and_when_it_closes(message, number, settings):
    app = number.account.app.app_id
    signs = circuit.Signs()
    for other in MessageFactory.create_batch(
        settings.OUTBOUND_CIRCUIT_MESSAGES, phone_number=number
    ):
        signs.take(other.pk, Result("", Outcome.UNKNOWN))
    circuit.observe({app: signs}, {}, database.now())
    (opened,) = told(message)
    assert opened.title == "Circuit opened: app"
    assert [name for name, _text in opened.lines] == ["Reason", "In force", "Tried again"]
    circuit.close(Hold.objects.get(), actor="system:circuit", reason="The provider answers again.")
    assert titles(message) == [
        "Circuit opened: app",
        "Hold lifted: provider unavailable of app",
    ]


def test_what_meta_stops_is_told_while_it_stands(message, number):
    until = database.now() + HOUR
    key = number.account.waba_id
    request = HoldRequest("account", key, Hold.Cause.THROTTLE, until, code="80007", detail="Slow.")
    holds.place([request], database.now())
    (entry,) = told(message)
    assert entry.title == "On hold: whatsapp account, rate limit at meta"
    assert ("Told", "80007 Slow.") in entry.lines
    assert ("In force", f"until {until:%Y-%m-%d %H:%M:%S} UTC") in entry.lines


def test_a_template_of_a_long_name_is_found_too(number):
    name = "n" * 300
    message = MessageFactory(phone_number=number, template_name=name)
    key = f"{number.account.waba_id}/{name}/en_US"
    holds.place([HoldRequest("template", key, "template", None)], database.now())
    assert titles(message) == ["On hold: template, template paused by meta"]
    holds.lift(Hold.objects.all(), actor="provider:meta", reason="Approved again.")
    assert titles(message) == ["Hold lifted: template of template"]


def test_what_comes_after_its_end_or_was_over_before_it_is_none_of_its_business(number):
    pausing.pause(number, by_staff("early"))
    pausing.resume(number, by_staff("early"))
    sent = MessageFactory(phone_number=number, status=Status.DELIVERED)
    waiting = MessageFactory(phone_number=number)
    pausing.pause(number, by_staff("late"))
    assert titles(sent) == []
    assert titles(waiting) == ["Paused: number"]


def test_other_numbers_are_none_of_its_business(message, other_org):
    pausing.pause(MessageFactory(org=other_org).phone_number, by_staff("theirs"))
    assert titles(message) == []


def test_whoever_is_limited_is_told_that_the_app_stands_still_but_not_why(message, org, number):
    key = number.account.app.app_id
    request = HoldRequest("app", key, Hold.Cause.CREDENTIALS, None, detail="Secret of globex.")
    holds.place([request], database.now())
    audit.record([audit.Entry(None, "user:1", "circuit.opened", f"app:{key}", "globex")])
    for entry in told(message, {org.pk}):
        assert entry.who == ""
        assert "globex" not in str(entry.lines)
    assert len(told(message, {org.pk})) == 2
    assert "globex" in str(told(message))


def incident(org, title: str) -> None:
    now = timezone.now()
    Alert.objects.create(
        rule="dlq",
        key=title,
        org=org,
        severity="warning",
        title=title,
        opened_at=now,
        last_seen_at=now,
    )


def test_incidents_of_the_installation_are_told_to_whoever_reaches_everything(
    client, message, org, other_org
):
    incident(None, "No worker")
    incident(org, "Many failures at acme")
    incident(other_org, "Many failures at globex")
    page = reverse("admin:messaging_outboundmessage_change", args=[message.pk])
    client.force_login(staff_user("view_outboundmessage"))
    html = client.get(page).content.decode()
    assert "No worker" in html
    assert "Many failures at acme" in html
    assert "Many failures at globex" not in html
    client.force_login(staff_user("view_outboundmessage", orgs=(org,)))
    html = client.get(page).content.decode()
    assert "No worker" not in html
    assert "Many failures at acme" in html
