"""How the messages of an organisation fare: figures that may be half a minute old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, QuerySet

from messaging import queries
from messaging.models import HealthReport, OutboundMessage, PhoneNumber
from messaging.states import Status
from orgs import database
from orgs.models import Organization

GOOD_FOR = timedelta(seconds=30)
# Beat keeps the figures of who has asked within this time up to date.
ASKED_WITHIN = timedelta(minutes=10)
ASKED_EVERY = timedelta(minutes=1)  # how exactly that is known
# Rates and times are those of the messages accepted since.
WINDOW = timedelta(hours=24)
REFRESH_MOST = 100

Figures = Mapping[str, Any]


def of(org: Organization) -> Figures:
    """Return the organisation's figures, made anew when they are older than ``GOOD_FOR``."""
    now = database.now()
    kept = HealthReport.objects.filter(org=org).first()
    if kept is None or now - kept.made_at > GOOD_FOR:
        return _make(org.pk, now, asked_at=now)
    if now - kept.asked_at > ASKED_EVERY:
        HealthReport.objects.filter(pk=kept.pk).update(asked_at=now)
    figures: Figures = kept.figures
    return figures


def refresh() -> int:
    """Make the figures of who has asked lately anew; return how many."""
    now = database.now()
    asked = HealthReport.objects.filter(asked_at__gt=now - ASKED_WITHIN).order_by("made_at")
    due = list(asked.values_list("org_id", "asked_at")[:REFRESH_MOST])
    for org_id, asked_at in due:
        _make(org_id, now, asked_at=asked_at)
    return len(due)


def _make(org_id: int, now: datetime, *, asked_at: datetime) -> Figures:
    figures = measure(org_id, now)
    HealthReport.objects.update_or_create(
        org_id=org_id,
        defaults={"figures": figures, "made_at": now, "asked_at": asked_at},
    )
    return figures


def measure(org_id: int, now: datetime) -> dict[str, Any]:
    """Return the figures as they are now, as plain data with the API's names."""
    messages = OutboundMessage.objects.filter(org_id=org_id)
    # By its numbers: the index of what is queued begins with them.
    numbers = list(PhoneNumber.objects.filter(org_id=org_id).values_list("pk", flat=True))
    queued = OutboundMessage.objects.filter(phone_number__in=numbers, status=Status.QUEUED)
    waiting, sending = queued.count(), messages.filter(status=Status.SENDING).count()
    return {
        "queuedMessages": waiting,
        "sendingMessages": sending,
        "totalPendingMessages": waiting + sending,
        "deadLetterQueueSize": messages.dead().exclude(error_code__in=_campaign()).count(),
        "timestamp": now.isoformat(),
        "since": (now - WINDOW).isoformat(),
        "channelMetrics": _channels(messages.filter(created_at__gt=now - WINDOW)),
    }


def _channels(messages: QuerySet[OutboundMessage]) -> dict[str, dict[str, Any]]:
    took = ExpressionWrapper(F("delivered_at") - F("sent_at"), DurationField())
    rows = messages.values("channel").annotate(
        total=Count("pk"),
        sent=Count("pk", filter=Q(status__in=(Status.SENT, Status.DELIVERED))),
        delivered=Count("pk", filter=Q(status=Status.DELIVERED)),
        failed=Count("pk", filter=Q(status=Status.FAILED) & ~Q(error_code__in=_campaign())),
        latency=Avg(took, filter=Q(status=Status.DELIVERED)),
    )
    found = {row["channel"]: row for row in rows}
    return {
        channel: _metrics(found.get(channel, _NOTHING))
        for channel in OutboundMessage.Channel.values
        if channel in found or channel == OutboundMessage.Channel.WHATSAPP
    }


_NOTHING = {"total": 0, "sent": 0, "delivered": 0, "failed": 0, "latency": None}


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    ended = row["sent"] + row["failed"]
    latency: timedelta | None = row["latency"]
    return {
        "totalMessages": row["total"],
        "sentMessages": row["sent"],
        "deliveredMessages": row["delivered"],
        "failedMessages": row["failed"],
        "successRate": row["sent"] / ended if ended else None,
        "failureRate": row["failed"] / ended if ended else None,
        "averageDeliveryLatencySeconds": max(0.0, latency.total_seconds()) if latency else None,
    }


def _campaign() -> frozenset[str]:
    return queries.campaign_codes()
