"""Figures about messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, F, Min, Q, QuerySet

from alerts.facts import Escalation, Expiring, Failures, Group, QueueDepth
from alerts.readings import sampling
from alerts.thresholds import Thresholds
from messaging import queries
from messaging.models import OutboundMessage
from messaging.queries import DlqReport
from messaging.states import Status
from orgs.models import Organization

# Counting stops here, or at ten times the threshold: beyond it only the order of size matters.
MOST_COUNTED = 50_000
# What is due later than this waits for its time, not for us.
AHEAD = timedelta(hours=1)
# A short life is the client's wish: only what has waited for so long is told about.
LONG_WAIT = timedelta(hours=1)
SHOWN_CODES = 3


def dead_letters(_limits: Thresholds, at: datetime) -> DlqReport:
    """Return the report of the whole dead letter queue."""
    return queries.dlq_report(OutboundMessage.objects.all(), at)


def stuck(limits: Thresholds, at: datetime) -> list[Group]:
    """Return messages that had many attempts and are older than they should be."""
    before = at - limits.stuck_age
    old = Q(created_at__lt=before) & (Q(scheduled_at=None) | Q(scheduled_at__lt=before))
    rows = _tried(limits.stuck_attempts).filter(old)
    return _groups(rows)


def queue_depth(limits: Thresholds, at: datetime) -> QueueDepth:
    """Count what waits for its turn or is on its way, up to a bound."""
    most = max(MOST_COUNTED, 10 * limits.queue_depth)
    messages = OutboundMessage.objects
    queued = _bounded(messages.filter(status=Status.QUEUED, due_at__lte=at + AHEAD), most)
    sending = _bounded(messages.filter(status=Status.SENDING), most)
    return QueueDepth(queued, sending, is_bounded=most in {queued, sending})


def failures(limits: Thresholds, at: datetime) -> list[Failures]:
    """Return how messages ended inside the window, by channel."""
    since = at - limits.window
    campaign = queries.campaign_codes()
    failed: dict[str, Counter[str]] = {}
    rows = (
        OutboundMessage.objects.dead()
        .filter(failed_at__gt=since)
        .order_by()
        .values_list("channel", "error_code")
        .annotate(count=Count("*"))
    )
    for channel, code, count in rows:
        if code not in campaign:
            failed.setdefault(channel, Counter())[code] += count
    went = sampling.went(since)
    return [
        Failures(
            channel,
            failed=(codes := failed.get(channel, Counter())).total(),
            went=went.get(channel, 0),
            top_codes=codes.most_common(SHOWN_CODES),
        )
        for channel in sorted({*failed, *went})
    ]


def escalation(limits: Thresholds, at: datetime) -> Escalation:
    """Return messages whose attempts were used up inside the window, or nearly are."""
    used_up = (
        OutboundMessage.objects.dead()
        .filter(failed_at__gt=at - limits.window, attempt_count__gte=F("max_attempts"))
        .exclude(error_code__in=queries.campaign_codes())
    )
    return Escalation(_groups(used_up), _groups(_tried(limits.escalation_attempts)))


def expiring(limits: Thresholds, at: datetime) -> Expiring:
    """Return queued messages that have waited long and expire within the hour."""
    most = max(1_000, 10 * limits.expiring)
    soon = OutboundMessage.objects.filter(
        status=Status.QUEUED, expires_at__lte=at + AHEAD, created_at__lt=at - LONG_WAIT
    ).order_by("expires_at")
    times = list(soon.values_list("expires_at", flat=True)[:most])
    return Expiring(len(times), times[0] if times else None, is_bounded=len(times) == most)


def _tried(attempts: int) -> QuerySet[OutboundMessage]:
    """Return messages with so many attempts that have not ended, by the index of those retried."""
    return OutboundMessage.objects.filter(
        status__in=[Status.QUEUED, Status.SENDING],
        attempt_count__gt=0,
        attempt_count__gte=attempts,
    )


def _bounded(rows: QuerySet[OutboundMessage], most: int) -> int:
    return rows.order_by()[:most].count()


def _groups(rows: QuerySet[OutboundMessage]) -> list[Group]:
    found = list(
        rows.order_by()
        .values_list("org_id", "channel", "status")
        .annotate(count=Count("*"), oldest=Min("created_at"))
    )
    names = _org_names(row[0] for row in found)
    return [Group(names[org], *rest) for org, *rest in found]


def _org_names(pks: Iterable[int]) -> Mapping[int, str]:
    """Return the organisations' public ids."""
    wanted: Sequence[int] = sorted(set(pks))
    if not wanted:
        return {}
    return dict(Organization.objects.filter(pk__in=wanted).values_list("pk", "org_id"))
