"""Placing, asking for and lifting holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from orgs import audit, database
from ratelimit import limiter
from ratelimit.models import FailureStreak, Hold, WhatsAppRateLimit


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A scope that must stand still until a time (None: until lifted)."""

    scope: str
    key: str
    cause: str
    until: datetime | None
    code: str = ""
    detail: str = ""
    org_id: int | None = None
    probe_at: datetime | None = None  # when to try whether the cause is gone
    longest: timedelta | None = None  # one that follows on its like doubles up to this


@transaction.atomic
def place(requests: Sequence[HoldRequest], at: datetime) -> None:
    """Make the scopes stand still; a hold in force for the same cause is only made longer."""
    wanted: dict[tuple[str, str, str], HoldRequest] = {}
    for request in requests:
        place_at = (request.scope, request.key, request.cause)
        known = wanted.get(place_at)
        if known is None or _outlasts(request.until, known.until):
            wanted[place_at] = request
    for (scope, key, cause), request in sorted(wanted.items()):
        fresh = {
            "org_id": request.org_id,
            "code": request.code,
            "detail": request.detail,
            "opened_at": at,
            "until": request.until,
            "probe_at": request.probe_at,
        }
        hold, created = Hold.objects.select_for_update().get_or_create(
            scope=scope, key=key, cause=cause, defaults=fresh
        )
        if created:
            continue
        in_force = hold.until is None or hold.until > at
        if in_force and not _outlasts(request.until, hold.until):
            continue
        if in_force:
            fresh["opened_at"] = hold.opened_at
        else:
            fresh["until"] = _doubled(hold, request, at)
        Hold.objects.filter(pk=hold.pk).update(**fresh)


def _doubled(last: Hold, request: HoldRequest, at: datetime) -> datetime | None:
    """Return the end of a hold, twice as far off as that of its like which has just ended.

    What follows within the length of the last one is the same trouble going on.
    """
    if request.until is None or request.longest is None or last.until is None:
        return request.until
    length = last.until - last.opened_at
    if at - last.until > length:
        return request.until
    return max(request.until, at + min(2 * length, request.longest))


def active(at: datetime) -> dict[tuple[str, str], list[Hold]]:
    """Return all holds in force by (scope, key), the longest of each first; there are few."""
    found: dict[tuple[str, str], list[Hold]] = {}
    for hold in Hold.objects.active(at).order_by(F("until").desc(nulls_first=True), "pk"):
        found.setdefault((hold.scope, hold.key), []).append(hold)
    return found


@transaction.atomic
def lift(holds: Iterable[Hold], *, actor: str, reason: str) -> int:
    """Remove the holds, so that what they held goes at once; leaves an audit row each.

    An account's throttle may have throttled its organisation as a whole: that ends with it. So
    does the row of failures that opened a circuit: it opens anew after as many as before.
    """
    chosen = list(holds)
    # Before the holds, in the order of those who note failures.
    apps = [hold.key for hold in chosen if hold.cause == Hold.Cause.PROVIDER_UNAVAILABLE]
    FailureStreak.objects.filter(app_key__in=apps).delete()
    wanted = Hold.objects.select_for_update().filter(pk__in=[hold.pk for hold in chosen])
    wanted = wanted.order_by("scope", "key", "cause")
    # Holds are locked before organisations' rows, but a quota's hold after them: everywhere.
    rows = list(wanted.exclude(cause=Hold.Cause.QUOTA_EXCEEDED))
    end_throttles(
        {
            hold.org_id
            for hold in rows
            if (hold.scope, hold.cause) == (Hold.Scope.ACCOUNT, Hold.Cause.THROTTLE)
        }
    )
    rows += wanted.filter(cause=Hold.Cause.QUOTA_EXCEEDED)
    audit.record(
        [
            audit.Entry(
                org_id=hold.org_id,
                actor=actor,
                action="hold.lifted",
                target=f"{hold.scope}:{hold.key}",
                reason=reason,
                before={"cause": hold.cause, "code": hold.code},
                after=None,
            )
            for hold in rows
        ]
    )
    Hold.objects.filter(pk__in=[hold.pk for hold in rows]).delete()
    return len(rows)


def end_throttles(orgs: Iterable[int | None]) -> int:
    """Let organisations go that are throttled as a whole; return how many. In a transaction."""
    throttled = WhatsAppRateLimit.objects.throttled(database.now()).filter(org__in=set(orgs))
    rows = list(throttled.select_for_update(of=("self",)).select_related("org").order_by("org"))
    WhatsAppRateLimit.objects.filter(pk__in=[row.pk for row in rows]).update(throttled_until=None)
    for row in rows:
        limiter.changed(row.org_id, row.org.org_id)
    return len(rows)


def _outlasts(until: datetime | None, other: datetime | None) -> bool:
    if other is None:
        return False
    return until is None or until > other
