"""Figures about circuits, numbers, quotas and processes: small tables, or the newest rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F

from alerts.facts import BadNumber, Numbers, Processes, QuotaUse, Stop, TierChange, TierUse
from alerts.rules.base import CLOSES_BELOW
from alerts.rules.surroundings import QUOTA_WARNS
from alerts.thresholds import Thresholds
from messaging import heartbeats, limits
from messaging import numbers as known_numbers
from messaging.models import BusinessAccount, PhoneNumber
from orgs.models import AuditEvent
from ratelimit import quota, reach
from ratelimit.models import STOPS, Hold, WhatsAppRateLimit
from ratelimit.rules import TIER_WARNING, micros

# What Meta told of a tier is news for so long.
NEWS = timedelta(hours=24)
# It comes by these webhooks, or is read.
TIER_ACTIONS = (
    "phone_number_quality_update",
    "business_capability_update",
    known_numbers.TIER_READ,
)
MOST_CHANGES = 1_000


def circuits(_limits: Thresholds, at: datetime) -> list[Stop]:
    """Return what Meta, or an outage, has stopped."""
    causes = [*STOPS, Hold.Cause.PROVIDER_UNAVAILABLE]
    stops = Hold.objects.active(at).filter(cause__in=causes).select_related("org")
    return [
        Stop(
            scope=hold.get_scope_display(),
            key=hold.key,
            cause=hold.cause,
            cause_label=hold.get_cause_display(),
            code=hold.code,
            detail=hold.detail,
            org=hold.org.org_id if hold.org else "",
            opened_at=hold.opened_at,
        )
        for hold in stops.order_by("pk")
    ]


def numbers(_limits: Thresholds, at: datetime) -> Numbers:
    """Return the numbers rated RED, and the tiers that changed lately."""
    red = PhoneNumber.objects.filter(quality_rating="RED", is_active=True, org__is_active=True)
    return Numbers(
        red=[
            BadNumber(number.phone_number_id, str(number), number.org.org_id)
            for number in red.select_related("org").order_by("pk")
        ],
        tiers=_tier_changes(at - NEWS),
        reached=_reached(at),
    )


def _reached(at: datetime) -> list[TierUse]:
    """Return the portfolios that have reached many of the people their tier allows."""
    accounts: dict[str, list[BusinessAccount]] = {}
    limited = BusinessAccount.objects.filter(portfolio_tier__gt=0, org__is_active=True)
    for account in limited.select_related("org").defer("access_token").order_by("pk"):
        accounts.setdefault(limits.portfolio_of(account), []).append(account)
    found = []
    for portfolio, at_most in reach.at_most(accounts).items():
        account, *others = accounts[portfolio]
        if at_most < account.portfolio_tier * TIER_WARNING * CLOSES_BELOW:
            continue
        is_shared = any(other.org_id != account.org_id for other in others)
        org = "" if is_shared else account.org.org_id
        reached, _oldest = reach.count_reached(portfolio, micros(at))
        tier = account.portfolio_tier
        found.append(TierUse(portfolio, org, account.waba_id, reached, tier))
    return found


def _tier_changes(since: datetime) -> list[TierChange]:
    rows = AuditEvent.objects.filter(action__in=TIER_ACTIONS, target__startswith="account:")
    rows = rows.select_related("org").order_by("-id")[:MOST_CHANGES]
    return [
        TierChange(
            change_id=row.pk,
            waba_id=row.target.removeprefix("account:"),
            org=row.org.org_id if row.org else "",
            before=int((row.before or {}).get("portfolio_tier", 0)),
            after=int(row.after["portfolio_tier"]),
        )
        for row in reversed(rows)
        if row.at > since and row.after and "portfolio_tier" in row.after
    ]


def quotas(_limits: Thresholds, at: datetime) -> list[QuotaUse]:
    """Return the organisations that have used most of their quota."""
    rows = WhatsAppRateLimit.objects.filter(reset_at__gt=at, org__is_active=True)
    used = []
    for row in rows.exclude(messages_sent__lt=F("quota_limit") * QUOTA_WARNS).select_related("org"):
        status = quota.of_row(row, at)
        if status.share >= QUOTA_WARNS:
            used.append(QuotaUse(row.org.org_id, status.sent, status.limit, status.reset_at))
    return used


def processes(_limits: Thresholds, at: datetime) -> Processes:
    """Return how long ago worker and beat were last seen."""
    ages = {str(kind.value): age for kind, age in heartbeats.ages(at).items()}
    return Processes(ages, heartbeats.MISSING_AFTER)
