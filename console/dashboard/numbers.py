"""The numbers with their state, those in trouble first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from console import links
from messaging import activity, holding, limits
from messaging.activity import MINUTE
from messaging.models import PhoneNumber
from messaging.models.accounts import Tier
from messaging.states import Status
from ratelimit import holds, quota, rules
from ratelimit.models import Hold, WhatsAppRateLimit

# Read at most; shown at most.
MOST = 500
SHOWN = 30
_PAUSES = frozenset({Hold.Cause.PAUSED_BY_STAFF, Hold.Cause.PAUSED_BY_CLIENT})
_QUALITY = {"GREEN": "success", "YELLOW": "warning", "RED": "danger"}


@dataclass(frozen=True, slots=True)
class Badge:
    """A word about a number's state, coloured by how bad it is; "" for the hover text: none."""

    text: str
    colour: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What the dashboard shows of one number."""

    name: str
    org_id: str
    url: str
    rate: float  # messages per second, over the last whole minute
    rate_url: str
    allowed: float
    tier: str
    tier_url: str
    quality: str
    quality_colour: str
    queued: int
    queued_url: str
    quota: quota.Status
    quota_url: str
    badges: list[Badge]

    @property
    def quota_percent(self) -> int:
        """Return how much of the quota is used, percent; never above 100."""
        return min(100, int(100 * self.quota.share))


@dataclass(frozen=True, slots=True)
class Numbers:
    """Those shown, and how many there are."""

    rows: list[Row]
    total: int
    url: str


def read(now: datetime, orgs: Collection[int] | None, queued: Mapping[int, int]) -> Numbers:
    """Return the state of the active numbers, by four queries; nothing secret is read."""
    numbers = PhoneNumber.objects.filter(is_active=True, org__is_active=True)
    if orgs is not None:
        numbers = numbers.filter(org__in=orgs)
    found = list(
        numbers.select_related("account__app", "org")
        .only(
            *("display_phone_number", "phone_number_id", "quality_rating", "is_active"),
            *("messages_per_second", "rate_share", "rate_lowered_at"),
            *("org__org_id", "account__waba_id", "account__portfolio_tier", "account__app__app_id"),
        )
        .order_by("pk")[:MOST]
    )
    active = holds.active(now)
    quotas = {
        row.org_id: row
        for row in WhatsAppRateLimit.objects.filter(org__in={number.org_id for number in found})
    }
    rates = _rates(now, orgs)
    rows = []
    for number in found:
        row = quotas.get(number.org_id) or WhatsAppRateLimit(org=number.org)
        rate = rates.get(number.pk, 0.0)
        rows.append(
            _row(number, quota.of_row(row, now), rate, queued.get(number.pk, 0), active, now)
        )
    rows.sort(key=lambda row: (not row.badges, -row.queued, -row.rate, row.name))
    return Numbers(
        rows[:SHOWN],
        len(rows),
        links.page("messaging_phonenumber_changelist", is_active__exact=1),
    )


def one(number: PhoneNumber, queued: int, active: holding.Active, now: datetime) -> Row:
    """Return the state of one number, loaded with account, app and organisation."""
    used = quota.status(number.org, now)
    rate = _rates(now, {number.org_id}).get(number.pk, 0.0)
    return _row(number, used, rate, queued, active, now)


def _rates(now: datetime, orgs: Collection[int] | None) -> dict[int, float]:
    """Return messages per second over the last whole minute, by the number's primary key."""
    begin, end = _last_minute(now)
    sent = activity.by_number(activity.between(begin, end, orgs))
    return {number: counted.sent / MINUTE.total_seconds() for number, counted in sent.items()}


def _last_minute(now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the last whole minute."""
    end = now.replace(second=0, microsecond=0)
    return end - MINUTE, end


def _row(
    number: PhoneNumber,
    used: quota.Status,
    rate: float,
    queued: int,
    active: holding.Active,
    now: datetime,
) -> Row:
    tier = number.account.portfolio_tier
    return Row(
        name=str(number),
        org_id=number.org.org_id,
        url=links.page("messaging_phonenumber_change", number.pk),
        rate=rate,
        rate_url=links.became("sent", *_last_minute(now), number=number.pk),
        allowed=rules.SECOND / limits.gap_of(number, now),
        tier=Tier(tier).label if tier else "–",
        tier_url=links.page("messaging_businessaccount_change", number.account_id),
        quality=number.quality_rating.capitalize() or "–",
        quality_colour=_QUALITY.get(number.quality_rating, "default"),
        queued=queued,
        queued_url=links.messages(status=Status.QUEUED, number=number.pk),
        quota=used,
        quota_url=links.page(
            "ratelimit_whatsappratelimit_changelist", org__id__exact=number.org_id
        ),
        badges=_badges(holding.on_number(active, number), used),
    )


def _badges(held: Sequence[Hold], used: quota.Status) -> list[Badge]:
    badges = [_badge(hold) for hold in held]
    if used.throttled_until is not None:
        until = f"until {used.throttled_until:%H:%M:%S} UTC"
        badges.append(Badge(Hold.Cause.THROTTLE.label, "warning", until))
    return badges


def _badge(hold: Hold) -> Badge:
    text = "Paused" if hold.cause in _PAUSES else hold.get_cause_display()
    if hold.cause == Hold.Cause.PROVIDER_UNAVAILABLE:
        text = "Circuit open"
    waits = hold.cause in (Hold.Cause.THROTTLE, Hold.Cause.QUOTA_EXCEEDED, *_PAUSES)
    until = f"until {hold.until:%H:%M:%S} UTC" if hold.until else "until somebody lifts it"
    detail = f"{hold.get_scope_display()}, {until}. {hold.detail}".strip()
    return Badge(text, "warning" if waits else "danger", detail)
