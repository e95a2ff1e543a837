"""An organisation's quota and throttle as people see and change them; changes are audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from orgs import audit, database
from orgs.models import Organization
from ratelimit import holds, limiter
from ratelimit.models import Hold, WhatsAppRateLimit
from ratelimit.rules import LARGEST_QUOTA, micros
from ratelimit.stores import rows


@dataclass(frozen=True, slots=True)
class Status:
    """How much of its quota an organisation has used."""

    sent: int
    limit: int
    reset_at: datetime | None  # None: no window is open
    throttled_until: datetime | None

    @property
    def remaining(self) -> int:
        """Return how many messages still fit the window."""
        return max(0, self.limit - self.sent)

    @property
    def share(self) -> float:
        """Return the share that is used; above 1 when the quota was lowered since."""
        return self.sent / self.limit


def status(org: Organization, now: datetime) -> Status:
    """Return what is counted now, from the database: true whatever becomes of Redis."""
    row = WhatsAppRateLimit.objects.of(org).first()
    return of_row(row, now) if row is not None else of_row(WhatsAppRateLimit(org=org), now)


def of_row(row: WhatsAppRateLimit, now: datetime) -> Status:
    """Return the same of a row that was read."""
    is_open = row.reset_at is not None and row.reset_at > now
    throttled = row.throttled_until is not None and row.throttled_until > now
    return Status(
        row.messages_sent if is_open else 0,
        row.quota_limit or settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA,
        row.reset_at if is_open else None,
        row.throttled_until if throttled else None,
    )


def throttled(now: datetime) -> dict[int, datetime]:
    """Return the organisations that Meta throttles as a whole, and until when; there are few."""
    return {
        row.org_id: row.throttled_until
        for row in WhatsAppRateLimit.objects.throttled(now)
        if row.throttled_until is not None
    }


class QuotaError(ValueError):
    """The quota asked for makes no sense; the text says why."""


def checked(value: object) -> int:
    """Return the value as a quota; raise QuotaError when it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        message = "The quota must be a whole number."
        raise QuotaError(message)
    if not 1 <= value <= LARGEST_QUOTA:
        message = f"The quota must be from 1 to {LARGEST_QUOTA:,}; pause sending to send nothing."
        raise QuotaError(message)
    return value


@transaction.atomic
def change(org: Organization, limit: object, *, actor: str, reason: str) -> None:
    """Set the quota; raised, it lets waiting messages go at once. Raises QuotaError."""
    fresh = checked(limit)
    known = rows.lock([org.pk])[org.pk]
    WhatsAppRateLimit.objects.of(org).update(quota_limit=fresh)
    if known.sent < fresh:
        limiter.release_quota_holds([org.pk])
    limiter.changed(org.pk, org.org_id)
    _record(org, actor, "quota.changed", reason, {"quota": known.limit}, {"quota": fresh})


def throttle(org: int, until: datetime) -> None:
    """Have nothing of the organisation go before then; a longer throttle stays."""
    rows.lock([org])
    shorter = Q(throttled_until=None) | Q(throttled_until__lt=until)
    shorter_ones = WhatsAppRateLimit.objects.filter(shorter, org=org)
    if shorter_ones.update(throttled_until=until):
        limiter.changed(org, Organization.objects.get(pk=org).org_id)


@transaction.atomic
def lift_throttle(org: Organization, *, actor: str, reason: str) -> bool:
    """End what Meta's rate limits hold of the organisation; say whether there was anything."""
    throttles = Hold.objects.active(database.now()).filter(org=org, cause=Hold.Cause.THROTTLE)
    was_throttled = status(org, database.now()).throttled_until is not None
    lifted = holds.lift(throttles, actor=actor, reason=reason)
    holds.end_throttles([org.pk])
    if lifted or was_throttled:
        _record(org, actor, "throttle.lifted", reason, {"throttled": True}, {"throttled": False})
    return bool(lifted) or was_throttled


def release_roomy() -> int:
    """Let organisations go whose quota has room again; return how many holds there were.

    Nobody else does when the default of the settings was raised.
    """
    waiting = Hold.objects.filter(cause=Hold.Cause.QUOTA_EXCEEDED, org__isnull=False)
    held = list(waiting.values_list("org_id", flat=True))
    if not held:
        return 0
    now = micros(database.now())
    with transaction.atomic():
        quotas = rows.lock(held)
        roomy = [org for org in quotas if quotas[org].has_room(now)]
        limiter.release_quota_holds(roomy)
    return len(roomy)


def ensure_rows() -> None:
    """Give every organisation its row, so that the console shows those that never sent."""
    missing = Organization.objects.exclude(
        pk__in=WhatsAppRateLimit.objects.values("org")
    ).values_list("pk", flat=True)
    WhatsAppRateLimit.objects.bulk_create(
        [WhatsAppRateLimit(org_id=pk) for pk in missing], ignore_conflicts=True
    )


def _record(
    org: Organization,
    actor: str,
    action: str,
    reason: str,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    audit.record([audit.Entry(org.pk, actor, action, f"org:{org.org_id}", reason, before, after)])
