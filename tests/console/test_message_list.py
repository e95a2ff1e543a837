"""The list of messages: what its filters keep, and how it turns its pages."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from messaging import waiting
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs.admin import keyset
from orgs.ids import first_uuid7
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold
from tests.factories.messaging import MessageFactory, PhoneNumberFactory, TemplateFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LIST = reverse("admin:messaging_outboundmessage_changelist")


@pytest.fixture(autouse=True)
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def listed(client, **filters):
    """The ids on a page, newest first, and the page's change list."""
    answer = client.get(LIST, filters)
    assert answer.status_code == 200, answer.headers.get("Location")
    cl = answer.context["cl"]
    return [message.pk for message in cl.result_list], cl


@pytest.mark.parametrize(
    ("filters", "mine"),
    [
        ({"status": Status.FAILED}, {"status": Status.FAILED}),
        ({"status": "SENT,DELIVERED"}, {"status": Status.DELIVERED}),
        ({"error": "131026"}, {"status": Status.FAILED, "error_code": "131026"}),
        ({"template": "welcome"}, {"template_name": "welcome"}),
        ({"priority": "10"}, {"priority": 10}),
        (
            {"waits": "retry"},
            {"due_at": timezone.now() + timedelta(hours=1), "last_attempt_number": 1},
        ),
        (
            {"waits": "PAIR_LIMIT"},
            {"due_at": timezone.now() + timedelta(hours=1), "held_by": "PAIR_LIMIT"},
        ),
    ],
)
def test_a_filter_keeps_what_it_says(client, number, filters, mine):
    MessageFactory(phone_number=number)
    wanted = MessageFactory(phone_number=number, **mine)
    assert listed(client, **filters)[0] == [wanted.pk]


@pytest.mark.parametrize(
    "filters",
    [
        *({"number": "²"}, {"number": "9" * 30}, {"number": "\0"}),
        *({"priority": "²"}, {"priority": "9" * 30}),
        *({"template": "\0"}, {"error": "\0"}, {"org": "\0"}, {"status": "\0"}),
    ],
)
def test_what_no_row_can_have_is_found_in_none(client, number, filters):
    MessageFactory(phone_number=number)
    assert listed(client, **filters)[0] == []


def test_it_filters_by_organisation_number_and_time(client, org, number):
    other = MessageFactory()
    old = MessageFactory(phone_number=number, at=timezone.now() - timedelta(days=3))
    OutboundMessage.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    mine = MessageFactory(phone_number=PhoneNumberFactory(org=org))
    assert set(listed(client, org="acme")[0]) == {mine.pk, old.pk}
    assert listed(client, number=number.pk)[0] == [old.pk]
    assert set(listed(client, since="1h")[0]) == {mine.pk, other.pk}
    assert set(listed(client, day=f"{timezone.now():%Y-%m-%d}")[0]) <= {mine.pk, other.pk}
    assert listed(client, day="yesterday")[0] == []


def test_a_hold_is_a_reason_of_all_it_stops(client, org, number):
    other = PhoneNumberFactory(org=org)
    MessageFactory(phone_number=other)
    stopped = MessageFactory(phone_number=number)
    MessageFactory(phone_number=number, status=Status.SENT)
    waiting_template = MessageFactory(phone_number=other, template_name="paused/one")
    now = timezone.now()
    account = other.account.waba_id
    holds.place(
        [
            HoldRequest(
                Hold.Scope.NUMBER, number.phone_number_id, Hold.Cause.PAUSED_BY_STAFF, None
            ),
            HoldRequest(
                Hold.Scope.TEMPLATE, f"{account}/paused/one/en_US", Hold.Cause.TEMPLATE, None
            ),
        ],
        now,
    )
    assert listed(client, waits=Hold.Cause.PAUSED_BY_STAFF)[0] == [stopped.pk]
    assert listed(client, waits=Hold.Cause.TEMPLATE)[0] == [waiting_template.pk]
    html = client.get(LIST, {"status": Status.QUEUED}).content.decode()
    assert "paused by staff" in html


def test_every_reason_can_be_asked_for(client, number):
    MessageFactory(phone_number=number)
    for reason in waiting.REASONS:
        found, _cl = listed(client, waits=reason)
        assert len(found) == (1 if reason == waiting.DUE else 0), reason


@pytest.mark.parametrize("filters", [{}, {"org": "acme"}, {"status": "QUEUED"}, {"q": "order 7"}])
def test_pages_follow_each_other_without_gap_or_repetition(client, number, monkeypatch, filters):
    monkeypatch.setattr("messaging.admin.messages.OutboundMessageAdmin.list_per_page", 3)
    at = timezone.now()  # the same moment for all: only the id tells them apart
    made = [MessageFactory(phone_number=number, at=at, reference="order 7").pk for _ in range(8)]
    pages = []
    found, cl = listed(client, **filters)
    pages.append(found)
    while cl.older_url:
        answer = client.get(LIST + cl.older_url)
        assert 'name="before"' not in answer.content.decode()
        cl = answer.context["cl"]
        pages.append([message.pk for message in cl.result_list])
    assert [pk for page in pages for pk in page] == sorted(made, reverse=True)
    assert [len(page) for page in pages] == [3, 3, 2]
    back = client.get(LIST + cl.newer_url).context["cl"]
    assert [message.pk for message in back.result_list] == pages[1]


def test_a_rare_match_is_looked_for_a_stretch_at_a_time(client, number, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_AT", 4)
    rare = MessageFactory(
        phone_number=number, status=Status.SENT, category="marketing", priority=30
    )
    MessageFactory.create_batch(9, phone_number=number, status=Status.SENT)
    found, cl = listed(client, priority="30")
    looks = 1
    while not found and cl.further_url:
        assert cl.looked_back_to is not None
        answer = client.get(LIST + cl.further_url)
        assert "Look further back" in answer.content.decode() or answer.context["cl"].result_list
        cl, looks = answer.context["cl"], looks + 1
        found = [message.pk for message in cl.result_list]
    assert found == [rare.pk]
    assert looks == 3


@pytest.mark.parametrize("typed", ["+1 202 555 0123", "12025550123", "00 1 (202) 555-0123"])
def test_a_phone_number_is_found_as_people_write_it(client, number, typed):
    wanted = MessageFactory(phone_number=number, contact__phone="+12025550123")
    MessageFactory(phone_number=number)
    assert listed(client, q=typed)[0] == [wanted.pk]


def test_digits_may_be_a_reference_as_well(client, number):
    wanted = MessageFactory(phone_number=number, reference="12025550123")
    MessageFactory(phone_number=number)
    assert listed(client, q="12025550123")[0] == [wanted.pk]


def test_looking_further_back_carries_no_message_of_another_organisation(
    client, number, other_org, monkeypatch
):
    monkeypatch.setattr(keyset, "LOOKED_AT", 8)
    third, theirs = PhoneNumberFactory(), PhoneNumberFactory(org=other_org)
    at = timezone.now() - timedelta(hours=1)

    def made(of, place: int, **fields) -> uuid.UUID:
        """Make one whose id tells when it was accepted, as intake does."""
        when = at + timedelta(seconds=place)
        pk = first_uuid7(when)
        MessageFactory(phone_number=of, at=when, id=pk, status=Status.SENT, **fields)
        return pk

    rare = [made(number, 0, priority=30), made(third, 1, priority=30)]
    for place in range(2, 32):
        made((number, theirs, third, theirs, theirs)[place % 5], place)
    client.force_login(staff_user("view_outboundmessage", orgs=(number.org, third.org)))
    found, cl = listed(client, priority="30")
    told = []
    while cl.further_url and len(told) < 20:
        told.append(uuid.UUID(cl.further))
        cl = client.get(LIST + cl.further_url).context["cl"]
        found += [message.pk for message in cl.result_list]
    assert found == rare[::-1]  # each once
    assert len(told) > 1
    orgs = OutboundMessage.objects.filter(pk__in=told).values_list("org", flat=True)
    assert len(orgs) == len(told)
    assert set(orgs) <= {number.org_id, third.org_id}


def test_choices_come_from_small_tables(client, number):
    MessageFactory(phone_number=number, template_name="never_synced", error_code="77777777")
    TemplateFactory(account=number.account, name="welcome")
    html = client.get(LIST).content.decode()
    options = re.findall(r'<option value="([^"]*)"', html)
    assert "welcome" in options
    assert "131026" in options
    assert "never_synced" not in options


@pytest.mark.parametrize("filters", [{"before": "nonsense"}, {"number": "x"}, {"waits": "rain"}])
def test_nonsense_in_the_address_breaks_nothing(client, number, filters):
    MessageFactory(phone_number=number)
    listed(client, **filters)
