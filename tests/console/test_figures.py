"""Each figure of the dashboard and of the report is the number of rows of the list it leads to."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from alerts.models import Alert
from messaging import activity
from messaging.models import Heartbeat, MessageEvent, OutboundMessage
from messaging.states import Cause, Status
from orgs import database
from orgs.models import Organization
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold, WhatsAppRateLimit
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.factories.orgs import OrganizationFactory, staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PART = reverse("console:dashboard")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
CAMPAIGN = "131049"


@pytest.fixture
def staff(client: Client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def message(number, status: Status, *, age=timedelta(0), failed=timedelta(0), **fields):
    """Make a message accepted so long ago."""
    now = database.now()
    if status == Status.FAILED:
        fields["failed_at"] = now - failed
    return MessageFactory(phone_number=number, status=status, at=now - age, **fields)


def moved(made: OutboundMessage, to: Status, at: datetime, *, old=Status.SENDING) -> None:
    MessageEvent.objects.create(
        message=made,
        org=made.org,
        at=at,
        recorded_at=at,
        kind=to.lower(),
        from_status=old,
        to_status=to,
        cause=Cause.RESULT,
        code=made.error_code,
    )


def queue(number) -> None:
    for priority, count in ((10, 1), (20, 2), (30, 3)):
        for _ in range(count):
            message(number, Status.QUEUED, priority=priority)
    message(number, Status.SENDING)


def traffic(number) -> None:
    """What happened in the last hour is not what was accepted in it, in either direction."""
    now = database.now()
    late = message(number, Status.DELIVERED, age=3 * DAY)
    moved(late, Status.SENT, now - 3 * HOUR)
    moved(late, Status.DELIVERED, now - 20 * MINUTE, old=Status.SENT)
    for back in (4 * HOUR, 10 * HOUR):
        moved(message(number, Status.SENT, age=back), Status.SENT, now - back)
    for _ in range(2):
        both = message(number, Status.DELIVERED, age=30 * MINUTE)
        moved(both, Status.DELIVERED, now - 25 * MINUTE)
    # Six in this minute and in the one before: the rate is of the last whole one.
    minute = now.replace(second=0, microsecond=0)
    for _ in range(6):
        for at in (minute - MINUTE / 2, minute):
            moved(message(number, Status.SENT), Status.SENT, at)


def failures(number) -> None:
    now = database.now()
    for code, ages in (
        ("131026", (10 * MINUTE, 5 * HOUR, 40 * HOUR, 9 * DAY)),
        (CAMPAIGN, (15 * MINUTE, 6 * HOUR, 30 * HOUR)),
        ("", (7 * HOUR,)),
    ):
        for age in ages:
            template = "" if age == 5 * HOUR else "order_update"
            made = message(
                number,
                Status.FAILED,
                age=age,
                failed=age,
                error_code=code,
                template_name=template,
            )
            if age < DAY:
                moved(made, Status.FAILED, now - age)
    # It failed within the hour and was put right since.
    mended = message(number, Status.QUEUED, age=2 * HOUR)
    moved(mended, Status.FAILED, now - 30 * MINUTE)


@pytest.fixture
def scene(org: Organization, number) -> Organization:
    """Two organisations with messages of every age and end."""
    other = OrganizationFactory(org_id="acme-2")
    WhatsAppRateLimit.objects.create(org=org, messages_sent=5)
    WhatsAppRateLimit.objects.create(org=other)
    for each in (number, PhoneNumberFactory(org=other)):
        queue(each)
        traffic(each)
        failures(each)
    now = database.now()
    for name, age in (("a", timedelta(0)), ("b", timedelta(0)), ("gone", HOUR)):
        Heartbeat.objects.create(kind="worker", name=name, started_at=now, seen_at=now - age)
    for resolved in (None, now):
        for place in range(11):
            Alert.objects.create(
                rule="dlq",
                key=f"{place} {resolved}",
                title="Too many",
                severity="critical",
                opened_at=now,
                last_seen_at=now,
                resolved_at=resolved,
            )
    request = HoldRequest(
        Hold.Scope.NUMBER, number.phone_number_id, Hold.Cause.CREDENTIALS, None, org_id=org.pk
    )
    holds.place([request], now)
    activity.count_recent()
    return org


def figures(html: str) -> set[tuple[str, int]]:
    """Return the address and the number of each link whose text is one, perhaps with a word."""
    found = set()
    for attributes, inside in re.findall(r"<a\s([^>]*)>(.*?)</a>", html, re.DOTALL):
        big = re.search(r'class="console-figure">([^<]*)<', inside)
        bar = re.search(r'aria-label="[\d:]+: ([^"]*)"', attributes)
        shown = (big or bar).group(1) if big or bar else inside
        number = re.fullmatch(r"\s*([\d,]+)( (sent|delivered|failed|at work))?\s*", shown)
        address = unescape(re.search(r'href="([^"]*)"', attributes).group(1))
        # The page of one thing bears its name, which may be a number too.
        if number and not address.endswith("/change/"):
            found.add((address, int(number.group(1).replace(",", ""))))
    return found


def rows(client: Client, address: str) -> QuerySet:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.context["cl"].queryset


def check(client: Client, html: str, least: int) -> None:
    found = figures(html)
    assert len(found) >= least, found
    for address, number in found:
        assert rows(client, address).count() == number, address


def test_each_number_on_the_dashboard_is_that_of_its_list(client, staff, scene):
    html = client.get(PART).content.decode()
    check(client, html, least=25)


def test_somebody_limited_sees_the_same_agreement(client, scene):
    user = staff_user(
        *("view_outboundmessage", "view_alert", "view_phonenumber", "view_hold"),
        "view_whatsappratelimit",
        orgs=(scene,),
    )
    client.force_login(user)
    html = client.get(PART).content.decode()
    check(client, html, least=20)
    assert "at work" in html
    assert reverse("admin:messaging_heartbeat_changelist") not in html


def address_of(html: str, before: str) -> str:
    """Return the address of the first link after some words."""
    return unescape(re.search(r'href="([^"]*)"', html[html.index(before) :]).group(1))


def test_rates_lead_to_what_they_are_made_of(client, staff, scene, number):
    html = client.get(PART).content.decode()
    sent, failed = (
        rows(client, address_of(html, f'id="card-traffic-{place}"')).count() for place in (1, 3)
    )
    shown = re.search(r"Failure rate, WhatsApp</span>\s*<span[^>]*>([\d.]+) %", html).group(1)
    assert float(shown) == round(100 * failed / (sent + failed), 1)
    assert rows(client, address_of(html, 'id="card-channel-1"')).count() == failed
    assert rows(client, address_of(html, 'data-label="Rate / allowed"')).count() == 6
    assert ">0.1</a>" in html


def test_what_is_said_of_a_number_leads_to_that_number(client, staff, scene, number):
    html = client.get(PART).content.decode()
    row = html[html.index('id="numbers-title"') :]
    page = reverse("admin:messaging_phonenumber_change", args=[number.pk])
    assert address_of(row, 'data-label="State"') == f"{page}#holds-title"
    assert "Access token refused" in client.get(page).content.decode()
    assert address_of(row, 'data-label="Quality"') == page
    account = reverse("admin:messaging_businessaccount_change", args=[number.account_id])
    assert address_of(row, 'data-label="Tier"') == account
    (quota,) = rows(client, address_of(row, 'data-label="Quota"'))
    assert quota.org == scene


def test_each_number_of_the_report_is_that_of_its_list(client, staff, scene):
    answer = client.get(reverse("alerts:dlq-report"))
    report, lists = answer.context["report"], answer.context["lists"]
    assert rows(client, lists["all"]).count() == report.total
    assert rows(client, lists["last"]).count() == report.trend.last_24h
    assert rows(client, lists["previous"]).count() == report.trend.previous_24h
    assert rows(client, lists["campaign"]).count() == report.campaign
    for address in lists.values():
        assert address.replace("&", "&amp;") in answer.content.decode()
    for table in answer.context["tables"]:
        for row in table["rows"]:
            assert f"{rows(client, row['link']).count():,}" == row["cells"][0], row
    for action, address in answer.context["actions"]:
        if action.code or "failed more than" in action.text:
            assert rows(client, address).count() == action.count, action


def test_each_number_of_the_causes_is_that_of_its_list(client, staff, scene):
    context = client.get(reverse("admin:messaging_deadletter_causes")).context
    assert rows(client, context["all"].list_url).count() == context["total"]
    for kind in ("causes", "templates", "numbers", "days", "everyday"):
        assert context[kind], kind
        for row in context[kind]:
            assert rows(client, row.list_url).count() == row.group.counts.all, row.group


def test_a_bound_that_is_no_time_finds_nothing(client, staff, scene):
    page = reverse("admin:messaging_outboundmessage_changelist")
    assert not rows(client, f"{page}?became=sent&became_from=yesterday").exists()
    assert not rows(client, f"{page}?became=nonsense").exists()
    # Without a beginning it is the last day.
    day = rows(client, f"{page}?became=sent").count()
    hour = database.now() - HOUR
    since = rows(client, f"{page}?became=sent&became_from={hour:%Y-%m-%dT%H:%M}").count()
    assert day > since > 0
