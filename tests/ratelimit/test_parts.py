"""The small parts: breaker, metrics, forgetting, readiness and the console's pages."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from prometheus_client import REGISTRY

from orgs.models import AuditEvent, Organization
from ratelimit import banner, gauges, metrics, quota, reach, usage
from ratelimit.breaker import Breaker
from ratelimit.models import PairUsage, PortfolioReach, WhatsAppRateLimit
from ratelimit.rules import DAY, Ask, Limit, Verdict, gap, micros, recovered
from ratelimit.stores import database
from tests.factories.orgs import OrganizationFactory, staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

QUOTAS = reverse("admin:ratelimit_whatsappratelimit_changelist")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_open_breaker_lets_one_try_in_each_rest():
    clock = Clock()
    breaker = Breaker(5.0, clock)
    assert breaker.may_try()
    assert breaker.failed()
    assert not breaker.may_try()
    clock.now = 5.0
    assert breaker.is_ready
    assert breaker.may_try()
    assert not breaker.may_try()
    assert not breaker.failed()
    clock.now = 10.0
    assert breaker.may_try()
    assert breaker.succeeded()
    assert breaker.may_try()
    assert breaker.may_try()


def test_the_gap_between_starts_never_makes_a_second_too_full():
    for rate in range(1, 1001):
        assert rate * gap(rate) >= 1_000_000


def test_starts_of_several_numbers_are_no_closer_than_the_sender_begins_calls(org):
    asks = [Ask(org.pk, org.org_id, number, gap(1000)) for number in (7, 7, 8, 8, 9)]
    apart = 3 * gap(1000)
    with transaction.atomic():
        verdicts = database.decide(asks, 0, soonest=0, apart=apart)
    assert [verdict.at for verdict in verdicts] == [place * apart for place in range(5)]


def test_a_slow_number_keeps_to_its_own_pace_whatever_the_sender_can(org):
    slow = gap(10)
    asks = [Ask(org.pk, org.org_id, 7, slow)] * 3
    with transaction.atomic():
        verdicts = database.decide(asks, 0, soonest=0, apart=gap(1000))
    assert [verdict.at for verdict in verdicts] == [0, slow, 2 * slow]


def test_a_lowered_share_recovers_step_by_step():
    now = timezone.now()
    shares = [recovered(500, now - timedelta(minutes=m), now) for m in range(7)]
    assert shares == [500, 600, 700, 800, 900, 1000, 1000]
    assert recovered(500, now + timedelta(minutes=5), now) == 500


def test_the_busiest_organizations_are_shown_by_rank(org, other_org):
    later = timezone.now() + timedelta(hours=1)
    for each, sent in ((org, 5), (other_org, 9)):
        WhatsAppRateLimit.objects.create(
            org=each, messages_sent=sent, quota_limit=10, reset_at=later
        )
    family, _breaker = gauges.collect()
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"rank": "1"}, 0.9),
        ({"rank": "2"}, 0.5),
    ]


def test_decisions_are_counted_by_limit_and_store():
    def value() -> float:
        labels = {"limit": "QUOTA_EXCEEDED", "store": "database"}
        return REGISTRY.get_sample_value("outbound_limit_decisions_total", labels) or 0.0

    before = value()
    metrics.count("database", [Verdict(Limit.QUOTA, 0)] * 3, 0.0)
    assert value() == before + 3


def test_the_time_of_a_decision_falls_into_every_bucket_that_is_long_enough():
    def values() -> list[float]:
        samples = [("_bucket", {"le": le}) for le in ("0.05", "0.1", "+Inf")]
        return [
            REGISTRY.get_sample_value(name + suffix, {"store": "redis", **labels}) or 0.0
            for suffix, labels in [*samples, ("_count", {}), ("_sum", {})]
        ]

    name = "outbound_limit_decision_seconds"
    before = values()
    metrics.count("redis", [Verdict(None, 0)] * 3, monotonic() - 0.075)
    grown = [now - then for now, then in zip(values(), before, strict=True)]
    assert grown[:4] == [0, 1, 1, 1]
    assert grown[4] == pytest.approx(0.075, abs=0.02)


def test_paid_debts_and_people_of_yesterday_are_forgotten():
    now = micros(timezone.now())
    PairUsage.objects.bulk_create(
        [
            PairUsage(number_id=1, contact_id=1, free_at=now - 1),
            PairUsage(number_id=1, contact_id=2, free_at=now + DAY),
        ]
    )
    PortfolioReach.objects.bulk_create(
        [
            PortfolioReach(portfolio_id="p", contact_id=1, last_at=now - DAY - 1),
            PortfolioReach(portfolio_id="p", contact_id=2, last_at=now),
        ]
    )
    assert usage.forget_old() == 2
    assert usage.forget_old() == 0
    assert list(PairUsage.objects.values_list("contact_id", flat=True)) == [2]
    assert reach.count_reached("p", now + 1)[0] == 1


def ask(org, contact: int, tier: int) -> Ask:
    return Ask(org.pk, org.org_id, 1, gap(1000), contact, "p", tier)


def test_a_portfolio_reaches_as_many_people_as_its_tier_in_24_hours(org):
    now = micros(timezone.now())
    asks = [ask(org, contact, 3) for contact in (1, 2, 3, 4, 1)]
    verdicts = database.decide(asks, now)
    assert [v.limit for v in verdicts] == [None, None, None, "CONTACT_LIMIT", None]
    assert now < verdicts[3].at <= now + 3_600_000_000
    assert [v.limit for v in database.decide([ask(org, 4, 3)], now + DAY)] == [None]


def test_readiness_reports_redis_without_requiring_it(client, monkeypatch):
    monkeypatch.setattr("ratelimit.limiter.redis_state", lambda: "down")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "down")


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def act(client, name: str, row: WhatsAppRateLimit, **fields: object):
    chosen = {"action": name, ACTION_CHECKBOX_NAME: [str(row.pk)], **fields}
    return client.post(QUOTAS, chosen, follow=True)


def test_the_console_says_when_redis_is_away(client, staff, monkeypatch):
    assert b"Redis does not answer" not in client.get(reverse("admin:index")).content
    monkeypatch.setattr(banner, "is_away", lambda: True)
    assert b"Redis does not answer" in client.get(reverse("admin:index")).content
    assert b"Redis does not answer" in client.get(QUOTAS).content


def test_the_page_of_quotas_shows_everybody_with_what_is_used(client, staff, org, other_org):
    WhatsAppRateLimit.objects.create(
        org=org,
        messages_sent=900,
        quota_limit=1000,
        reset_at=timezone.now() + timedelta(hours=1),
    )
    quota.ensure_rows()
    page = client.get(QUOTAS).content.decode()
    assert "900 of 1,000" in page
    assert "width: 90.0%" in page
    assert other_org.org_id in page


def test_the_page_of_quotas_asks_as_often_for_many_as_for_one(client, staff):
    counts = []
    client.get(QUOTAS)  # the first page begins the session
    for count in (1, 10):
        for org in OrganizationFactory.create_batch(count):
            quota.throttle(org.pk, timezone.now() + timedelta(hours=1))
        with CaptureQueriesContext(connection) as queries:
            client.get(QUOTAS)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_staff_raise_a_quota_with_a_reason(client, staff, org):
    quota.ensure_rows()
    row = WhatsAppRateLimit.objects.get(org=org)
    assert b"Messages per window" in act(client, "raise_quota", row).content
    page = act(client, "raise_quota", row, confirmed="yes", quota="0", reason="")
    assert b"Say why" in page.content
    act(client, "raise_quota", row, confirmed="yes", quota="5000", reason="Bigger plan")
    row.refresh_from_db()
    assert row.quota_limit == 5000
    event = AuditEvent.objects.get(action="quota.changed")
    assert (event.actor, event.reason) == (f"user:{staff.pk}", "Bigger plan")


def test_raising_does_not_lower(client, staff, org):
    row = WhatsAppRateLimit.objects.create(org=org, quota_limit=100)
    act(client, "raise_quota", row, confirmed="yes", quota="50", reason="a slip")
    row.refresh_from_db()
    assert row.quota_limit == 100


def test_staff_lift_a_throttle_with_a_reason(client, staff, org):
    quota.throttle(org.pk, timezone.now() + timedelta(hours=1))
    row = WhatsAppRateLimit.objects.get(org=org)
    assert "Organisation until" in client.get(QUOTAS).content.decode()
    act(client, "lift_throttle", row, confirmed="yes", reason="Meta says it is over")
    row.refresh_from_db()
    assert row.throttled_until is None
    assert AuditEvent.objects.get(action="throttle.lifted").reason == "Meta says it is over"


def test_who_may_only_look_is_offered_no_action(client, org):
    user = staff_user("view_whatsappratelimit")
    client.force_login(user)
    row = WhatsAppRateLimit.objects.create(org=org, quota_limit=100)
    act(client, "raise_quota", row, confirmed="yes", quota="5000", reason="mine")
    row.refresh_from_db()
    assert row.quota_limit == 100


@pytest.mark.django_db(transaction=True)
def test_an_organization_nobody_knows_is_refused_and_stops_no_other(org):
    now = micros(timezone.now())
    unknown = Ask(org.pk + 1_000, "nobody", 1, gap(1000))
    for deed in (
        lambda: database.decide([unknown, ask(org, 1, 3)], now),
        lambda: database.give_back([(unknown.org, now)]),
        lambda: quota.throttle(unknown.org, timezone.now() + timedelta(minutes=5)),
    ):
        with pytest.raises((IntegrityError, Organization.DoesNotExist)), transaction.atomic():
            deed()
    assert not WhatsAppRateLimit.objects.exists()
    with transaction.atomic():
        assert [v.limit for v in database.decide([ask(org, 1, 3)], now)] == [None]
