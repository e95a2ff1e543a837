"""The first page of the console: what it says, and where each figure leads."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from messaging import activity
from messaging.models import Activity, MessageEvent
from messaging.states import Cause, Status
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

INDEX = reverse("admin:index")
PART = reverse("console:dashboard")


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def moved(message, to: Status, *, code: str = "", old: Status = Status.SENDING, ago=timedelta(0)):
    at = timezone.now() - ago
    MessageEvent.objects.create(
        message=message,
        org=message.org,
        at=at,
        recorded_at=at,
        kind=to.lower(),
        from_status=old,
        to_status=to,
        cause=Cause.RESULT,
        code=code,
    )


def figure(html: str, name: str) -> str:
    found = re.search(rf"{name}</span>\s*<span class=.console-figure.>([^<]*)<", html)
    assert found, f"no figure {name}"
    return found.group(1)


def test_it_counts_what_waits_by_priority_and_what_failed_by_cause(client, staff, number):
    MessageFactory(phone_number=number, priority=10)
    MessageFactory.create_batch(2, phone_number=number, priority=30)
    MessageFactory(phone_number=number, status=Status.SENDING)
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131049")  # campaign
    html = client.get(INDEX).content.decode()
    assert figure(html, "Queued") == "3"
    assert figure(html, "High priority") == "1"
    assert figure(html, "Bulk priority") == "2"
    assert figure(html, "In flight") == "1"
    assert figure(html, "Dead letters") == "1"
    assert "They may have no WhatsApp" in html


def test_the_last_hour_is_counted_from_the_timelines(client, staff, number):
    now = timezone.now()
    for seconds in (10, 10, 10, 100):
        message = MessageFactory(
            phone_number=number,
            status=Status.DELIVERED,
            at=now - timedelta(seconds=seconds),
            delivered_at=now,
        )
        moved(message, Status.SENT)
        moved(message, Status.DELIVERED, old=Status.SENT)
    moved(MessageFactory(phone_number=number, status=Status.FAILED), Status.FAILED, code="131026")
    moved(MessageFactory(phone_number=number, status=Status.FAILED), Status.FAILED, code="131049")
    moved(
        MessageFactory(phone_number=number, status=Status.SENT),
        Status.SENT,
        ago=timedelta(hours=3),
    )
    activity.count_recent()
    assert activity.count_recent() > 0  # counting again changes nothing

    html = client.get(PART).content.decode()
    assert figure(html, "Sent in the last hour") == "4"
    assert figure(html, "Delivered in the last hour") == "4"
    assert figure(html, "Failed in the last hour") == "1"
    assert figure(html, "Failure rate, WhatsApp") == "20.0 %"
    p50, p95 = re.findall(r"[\d.]+", figure(html, "Delivery p50 / p95, last hour"))
    assert 8 <= float(p50) <= 12.5
    assert 80 <= float(p95) <= 125
    assert "5 sent" in html  # of the whole day


def test_counting_steps_over_hours_in_which_nothing_happened(number, django_assert_max_num_queries):
    with django_assert_max_num_queries(3):  # the time, the last count, whether anything came since
        assert activity.count_recent() == 0
    moved(MessageFactory(phone_number=number, status=Status.SENT), Status.SENT)
    moved(
        MessageFactory(phone_number=number, status=Status.SENT),
        Status.SENT,
        ago=timedelta(hours=20),
    )
    assert activity.count_recent() == 2
    assert sorted(Activity.objects.values_list("sent", flat=True)) == [1, 1]


def test_a_number_in_trouble_comes_first_with_its_reason(client, staff, org, number):
    PhoneNumberFactory(org=org, display_phone_number="+1 202 555 0100")
    trouble = PhoneNumberFactory(org=org, display_phone_number="+1 202 555 0199")
    holds.place(
        [
            HoldRequest(
                scope=Hold.Scope.NUMBER,
                key=trouble.phone_number_id,
                cause=Hold.Cause.CREDENTIALS,
                until=None,
            )
        ],
        timezone.now(),
    )
    html = client.get(PART).content.decode()
    assert "Access token refused" in html
    assert html.index("+1 202 555 0199") < html.index("+1 202 555 0100")


def test_every_figure_leads_to_a_list_that_opens(client, staff, number):
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
    html = client.get(PART).content.decode()
    links = set(re.findall(r'href="([^"]+)"', html))
    assert len(links) > 10
    for link in links:
        answer = client.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200, link


def test_the_figures_are_for_staff_only(client, django_user_model):
    assert client.get(PART).status_code == 302
    client.force_login(django_user_model.objects.create_user("eve"))
    assert client.get(PART).status_code == 302


def test_the_number_of_queries_does_not_grow_with_the_numbers(
    client, staff, org, django_assert_max_num_queries
):
    PhoneNumberFactory.create_batch(20, org=org)
    with django_assert_max_num_queries(20):
        client.get(PART)
