"""The quota over REST and what people may ask of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging.models.accounts import Tier
from orgs.models import AuditEvent
from ratelimit import holds, quota
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold, PortfolioReach, WhatsAppRateLimit
from ratelimit.rules import micros
from tests.factories.messaging import PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/rate-limits/whatsapp/quota"


def put(api, value, **fields):
    return api.put(URL, {"quotaLimit": value, **fields}, format="json")


def test_an_organization_that_never_sent_has_the_default(api, settings):
    settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA = 77
    answer = api.get(URL)
    assert answer.status_code == 200
    assert answer.json() == {
        "messagesSent": 0,
        "quotaLimit": 77,
        "remainingQuota": 77,
        "resetAt": None,
        "throttled": False,
        "throughput": [],
        "tiers": [],
    }


def test_what_was_sent_is_shown_until_the_window_ends(api, org):
    row = WhatsAppRateLimit.objects.create(
        org=org, messages_sent=5, quota_limit=8, reset_at=timezone.now() + timedelta(hours=1)
    )
    content = api.get(URL).json()
    assert (content["messagesSent"], content["remainingQuota"]) == (5, 3)
    assert content["resetAt"] is not None
    row.reset_at = timezone.now() - timedelta(seconds=1)
    row.save()
    content = api.get(URL).json()
    assert (content["messagesSent"], content["remainingQuota"], content["resetAt"]) == (0, 8, None)


def test_throughput_and_tier_are_shown(api, number):
    number.rate_share, number.rate_lowered_at = 500, timezone.now()
    number.save()
    number.account.portfolio_tier = Tier.TIER_250
    number.account.save()
    now = micros(timezone.now())
    PortfolioReach.objects.bulk_create(
        PortfolioReach(portfolio_id=number.account.waba_id, contact_id=n, last_at=now)
        for n in range(200)
    )
    content = api.get(URL).json()
    assert content["throughput"] == [
        {
            "phoneNumberId": number.phone_number_id,
            "messagesPerSecond": 1000,
            "currentMessagesPerSecond": 500.0,
        }
    ]
    assert content["tiers"] == [
        {
            "portfolioId": number.account.waba_id,
            "limit": 250,
            "reached": 200,
            "warning": True,
        }
    ]


def test_nothing_of_another_organization_is_shown(api, other_org):
    PhoneNumberFactory(org=other_org)
    WhatsAppRateLimit.objects.create(
        org=other_org, messages_sent=5, reset_at=timezone.now() + timedelta(hours=1)
    )
    content = api.get(URL).json()
    assert (content["messagesSent"], content["throughput"], content["tiers"]) == (0, [], [])


def test_the_quota_is_changed_and_audited(api, org, other_org):
    answer = put(api, 5000, reason="Bigger plan")
    assert (answer.status_code, answer.json()["quotaLimit"]) == (200, 5000)
    event = AuditEvent.objects.get(action="quota.changed")
    assert (event.org, event.reason, event.before, event.after) == (
        org,
        "Bigger plan",
        {"quota": 1000},
        {"quota": 5000},
    )
    assert event.actor.startswith("key:")
    assert quota.status(other_org, timezone.now()).limit == 1000


@pytest.mark.parametrize(
    "value", [0, -1, 1_000_000_001, 10**30, 1.5, "5", "many", True, None, [], {}]
)
def test_a_quota_that_makes_no_sense_is_refused_with_a_reason(api, org, value):
    answer = put(api, value)
    assert answer.status_code == 400, answer.json()
    (error,) = answer.json()["errors"]
    assert error["field"] == "quotaLimit"
    assert error["detail"]
    assert quota.status(org, timezone.now()).limit == 1000


def test_a_change_without_a_quota_is_refused(api):
    assert api.put(URL, {}, format="json").status_code == 400
    assert api.put(URL, [], format="json").status_code == 400


@pytest.mark.parametrize(
    ("scopes", "method", "status"),
    [
        (("read",), "get", 200),
        (("read",), "put", 403),
        (("send",), "get", 403),
        (("manage",), "put", 200),
        (("manage",), "get", 403),
    ],
)
def test_reading_takes_read_and_changing_takes_manage(org, client_of, scopes, method, status):
    client = client_of(org, scopes)
    answer = client.get(URL) if method == "get" else put(client, 5)
    assert answer.status_code == status


def test_a_hold_by_meta_shows_as_throttled_and_another_hold_does_not(api, number):
    now = timezone.now()
    key = number.phone_number_id
    request = HoldRequest("number", key, "billing", None, org_id=number.org_id)
    holds.place([request], now)
    assert api.get(URL).json()["throttled"] is False
    later = now + timedelta(minutes=5)
    holds.place([HoldRequest("number", key, "throttle", later, org_id=number.org_id)], now)
    assert api.get(URL).json()["throttled"] is True


def test_lifting_the_throttle_leaves_other_holds_and_other_organizations(org, other_org, number):
    now = timezone.now()
    later = now + timedelta(minutes=5)
    quota.throttle(org.pk, later)
    quota.throttle(other_org.pk, later)
    holds.place(
        [
            HoldRequest("number", "1", "throttle", later, org_id=org.pk),
            HoldRequest("number", "1", "billing", None, org_id=org.pk),
            HoldRequest("number", "2", "throttle", later, org_id=other_org.pk),
        ],
        now,
    )
    assert quota.lift_throttle(org, actor="user:1", reason="over")
    assert set(quota.throttled(now)) == {other_org.pk}
    assert {(hold.key, hold.cause) for hold in Hold.objects.all()} == {
        ("1", "billing"),
        ("2", "throttle"),
    }
    assert not quota.lift_throttle(org, actor="user:1", reason="again")


def test_a_shorter_throttle_does_not_end_a_longer_one(org):
    now = timezone.now()
    quota.throttle(org.pk, now + timedelta(hours=1))
    quota.throttle(org.pk, now + timedelta(minutes=1))
    assert quota.status(org, now).throttled_until == now + timedelta(hours=1)


def test_a_throttle_that_follows_on_its_like_lasts_twice_as_long():
    now = timezone.now()

    def place(at, minutes=5):
        until = at + timedelta(minutes=minutes)
        longest = timedelta(minutes=60)
        holds.place([HoldRequest("app", "1", "throttle", until, longest=longest)], at)
        return Hold.objects.get().until - at

    assert place(now) == timedelta(minutes=5)
    assert place(now + timedelta(minutes=6)) == timedelta(minutes=10)
    assert place(now + timedelta(minutes=17)) == timedelta(minutes=20)
    assert place(now + timedelta(minutes=38)) == timedelta(minutes=40)
    assert place(now + timedelta(minutes=80)) == timedelta(minutes=60)
    assert place(now + timedelta(hours=9)) == timedelta(minutes=5)
