"""How many messages are on their way, and how many lie in the dead letter queue.

Both are kept by the transactions that move messages (``counting``), so that to ask costs the
same with a thousand messages as with a million.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, FloatField, QuerySet, Sum, Value
from django.db.models.functions import Cast

from messaging import channels, counting
from messaging.counting import DLQ_SIZE, OPEN, QUEUE_DEPTH
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs import tallies
from orgs.models import MetricTally
from orgs.tallies import Line


@dataclass(frozen=True, slots=True)
class Stock:
    """The messages that wait or have failed, of all organisations."""

    queue_depth: int  # QUEUED and SENDING
    dead_letters: int  # FAILED, without campaign outcomes


def read() -> Stock:
    """Return the present numbers, by one query."""
    campaign = channels.error_table().campaign_codes
    depth = dead = 0.0
    for (name, labels), value in tallies.totals(QUEUE_DEPTH, DLQ_SIZE).items():
        if name == QUEUE_DEPTH:
            depth += value
        elif name == DLQ_SIZE and json.loads(labels)["error_code"] not in campaign:
            dead += value
    return Stock(int(depth), int(dead))


def queue_depth() -> int:
    """Return how many messages are on their way."""
    return read().queue_depth


def dead_letters() -> int:
    """Return the size of the dead letter queue, without campaign outcomes."""
    return read().dead_letters


def discard_lines(rows: Iterable[tuple[uuid.UUID, str, str, str]]) -> Iterator[Line]:
    """Return what the deletion of messages counts, from their id, channel, status and code."""
    for _id, channel, status, code in rows:
        if status == Status.FAILED:
            yield counting.dlq_line(channel, code, -1)


def recount() -> int:
    """Count the messages themselves and correct what is kept; return how many series were wrong.

    Kept numbers drift only when other hands write messages, as when a table is restored alone.
    """
    with transaction.atomic():
        return tallies.add(_line(*row) for row in _counted_and_kept())


def _counted_and_kept() -> QuerySet[Any, Any]:
    """Return what is there and what is kept by one statement: both are of the same moment."""
    there = (
        OutboundMessage.objects.filter(status__in=[*OPEN, Status.FAILED])
        .values("channel", "status", "error_code")
        .annotate(value=Cast(Count("pk"), FloatField()))
        .values_list("channel", "status", "error_code", "value")
    )
    kept = (
        MetricTally.objects.filter(name__in=[QUEUE_DEPTH, DLQ_SIZE])
        .annotate(kind=Value(_KEPT))
        .values("name", "kind", "labels")
        .annotate(total=Sum("value"))
        .values_list("name", "kind", "labels", "total")
    )
    return there.union(kept, all=True)


_KEPT = "kept"  # where a message has its status


def _line(first: str, kind: str, third: str, value: float) -> Line:
    if kind == _KEPT:
        return Line(first, third, -value)
    if kind == Status.FAILED:
        return counting.dlq_line(first, third, value)
    return counting.queue_line(first, value)
