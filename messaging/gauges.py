"""What /metrics shows of the messages, webhooks, circuits and processes as they stand.

Each number costs little however many messages there are: kept numbers, ends of indexes, small
tables, and counts that stop at ``COUNT_MOST``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery
from prometheus_client.core import GaugeMetricFamily, Metric

from messaging import circuit, heartbeats, stock
from messaging.counting import DLQ_SIZE, QUEUE_DEPTH
from messaging.models import OutboundMessage, PhoneNumber, WebhookDelivery, WebhookEvent
from messaging.states import Status
from orgs import database
from ratelimit.models import STOPS, Hold

# What waits in the inbox, or for its message, is counted up to here.
COUNT_MOST = 100_000
# What stops sending until the provider, or staff, says that all is well again.
CIRCUITS = tuple(sorted({*STOPS, circuit.UNAVAILABLE}))
OTHER_HOLDS = tuple(cause for cause in Hold.Cause.values if cause not in CIRCUITS)


def collect() -> Iterator[Metric]:
    """Return the gauges, read from the database now."""
    now = database.now()
    yield from _messages(now)
    yield from _webhooks(now)
    yield from _holds(now)
    yield from _processes(now)


def _messages(now: datetime) -> Iterator[Metric]:
    present = stock.read()
    yield GaugeMetricFamily(
        QUEUE_DEPTH, "Messages that are queued or being sent.", value=present.queue_depth
    )
    yield GaugeMetricFamily(
        DLQ_SIZE,
        "Messages in the dead letter queue, without campaign outcomes.",
        value=present.dead_letters,
    )
    yield GaugeMetricFamily(
        "outbound_message_oldest_due_age_seconds",
        "How long the longest waiting message has been due, on hold or not.",
        value=_age(oldest_due(), now),
    )


def oldest_due() -> datetime | None:
    """Return the due time of the message that has been due longest: one look for each number."""
    queued = OutboundMessage.objects.filter(phone_number=OuterRef("pk"), status=Status.QUEUED)
    looks = {
        f"due_{priority}": Subquery(
            queued.filter(priority=priority).order_by("due_at").values("due_at")[:1]
        )
        for priority in OutboundMessage.Priority.values
    }
    found = PhoneNumber.objects.annotate(**looks).values_list(*looks)
    return min((due for row in found for due in row if due is not None), default=None)


def _webhooks(now: datetime) -> Iterator[Metric]:
    pending = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)
    oldest = pending.order_by("id").values_list("received_at", flat=True).first()
    unmatched = WebhookEvent.objects.filter(look_again_at__isnull=False)
    yield GaugeMetricFamily(
        "outbound_webhook_pending", "Webhooks that are not applied yet.", value=_count(pending)
    )
    yield GaugeMetricFamily(
        "outbound_webhook_oldest_pending_age_seconds",
        "How long the first of them has been waiting.",
        value=_age(oldest, now),
    )
    yield GaugeMetricFamily(
        "outbound_webhook_unmatched",
        "Events whose message is still being looked for.",
        value=_count(unmatched),
    )


def _holds(now: datetime) -> Iterator[Metric]:
    active = Hold.objects.active(now).values("cause").annotate(count=Count("pk"))
    counts = {row["cause"]: row["count"] for row in active}
    circuits = GaugeMetricFamily(
        "outbound_circuits_open",
        "Apps, accounts and numbers that stand still until the provider or staff says so.",
        labels=["cause"],
    )
    holds = GaugeMetricFamily(
        "outbound_holds", "Other holds: pauses, quotas, throttles.", labels=["cause"]
    )
    for family, causes in ((circuits, CIRCUITS), (holds, OTHER_HOLDS)):
        for cause in causes:
            family.add_metric([str(cause)], counts.get(cause, 0))
        yield family


def _processes(now: datetime) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "outbound_heartbeat_age_seconds",
        "Since a process of the kind was last seen at work; +Inf: never.",
        labels=["kind"],
    )
    alive = GaugeMetricFamily(
        "outbound_processes", "Processes of the kind seen in the last two minutes.", labels=["kind"]
    )
    for kind, pulse in heartbeats.pulses(now).items():
        age.add_metric([kind.value], pulse.age.total_seconds() if pulse.age else math.inf)
        alive.add_metric([kind.value], pulse.alive)
    yield age
    yield alive


def _count(rows: QuerySet[WebhookDelivery] | QuerySet[WebhookEvent]) -> int:
    return rows.values("pk")[:COUNT_MOST].count()


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
