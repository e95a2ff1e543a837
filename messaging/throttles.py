"""Whom Meta's rate limits hold: organisations as a whole, or scopes their numbers stand in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from messaging import holding
from messaging.models import PhoneNumber
from orgs.models import Organization
from ratelimit import holds, quota
from ratelimit.models import Hold


@dataclass(frozen=True, slots=True)
class Throttle:
    """One of them: what stands still, and until when (None: until somebody lifts it)."""

    scope: str  # a label of Hold.Scope
    until: datetime | None


def by_org(now: datetime, only: Organization | None = None) -> dict[int, set[Throttle]]:
    """Return the throttles by organisation's primary key, by three queries.

    Those of an app hold all organisations that send through it.
    """
    found = {
        org_id: {Throttle(Hold.Scope.ORGANIZATION.label, until)}
        for org_id, until in quota.throttled(now).items()
    }
    active = {
        scope: [hold for hold in held if hold.cause == Hold.Cause.THROTTLE]
        for scope, held in holds.active(now).items()
    }
    keys = [key for (_scope, key), held in active.items() if held]
    for number in _numbers(keys, only) if keys else []:
        throttles = {
            Throttle(hold.get_scope_display(), hold.until)
            for hold in holding.on_number(active, number)
        }
        if throttles:
            found.setdefault(number.org_id, set()).update(throttles)
    return found


def _numbers(keys: list[str], only: Organization | None) -> list[PhoneNumber]:
    """Return the active numbers that stand in scopes of these keys; nothing secret is read."""
    numbers = PhoneNumber.objects.filter(
        Q(phone_number_id__in=keys)
        | Q(account__waba_id__in=keys)
        | Q(account__app__app_id__in=keys)
        | Q(org__org_id__in=keys),
        is_active=True,
    )
    if only is not None:
        numbers = numbers.filter(org=only)
    return list(
        numbers.select_related("account__app", "org").only(
            "phone_number_id", "org__org_id", "account__waba_id", "account__app__app_id"
        )
    )
