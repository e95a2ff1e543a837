"""What waits, what is on its way and what has failed, from the partial indexes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q

from console import links
from messaging import queries
from messaging.dead_letters.selection import NO_ERROR
from messaging.models import OutboundMessage
from messaging.queries import CodeCount
from messaging.states import Status

TOP_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with a name, and the list of what it counts."""

    name: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages are queued."""

    total: Figure
    by_priority: list[Figure]
    by_number: Mapping[int, int]


def depth(orgs: Collection[int] | None) -> Depth:
    """Count what is queued, by one look at the index of the queue."""
    lanes = (
        OutboundMessage.objects.filter(_of(orgs), status=Status.QUEUED)
        .values("phone_number", "priority")
        .order_by()
        .values_list("phone_number", "priority", Count("pk"))
    )
    by_priority: Counter[int] = Counter()
    by_number: Counter[int] = Counter()
    for number, priority, count in lanes:
        by_priority[priority] += count
        by_number[number] += count
    return Depth(
        Figure("Queued", by_priority.total(), links.messages(status=Status.QUEUED)),
        [
            Figure(
                label.capitalize(),
                by_priority[value],
                links.messages(status=Status.QUEUED, priority=value),
            )
            for value, label in OutboundMessage.Priority.choices
        ],
        by_number,
    )


def in_flight(orgs: Collection[int] | None) -> Figure:
    """Count what a worker has taken and not yet recorded."""
    count = OutboundMessage.objects.filter(_of(orgs), status=Status.SENDING).count()
    return Figure("In flight", count, links.messages(status=Status.SENDING))


@dataclass(frozen=True, slots=True)
class Cause:
    """An error code of dead letters, with the list of its messages."""

    code: CodeCount
    url: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The dead letter queue; everyday results of campaigns are counted apart."""

    total: Figure
    campaign: Figure
    causes: list[Cause]


def dead(orgs: Collection[int] | None) -> Dead:
    """Count the dead letters by cause, from the index made for that."""
    counts = queries.dead_by_code(OutboundMessage.objects.filter(_of(orgs)))
    everyday = [code.count for code in counts if code.campaign]
    failures = [code.count for code in counts if not code.campaign]
    page = "messaging_deadletter_changelist"
    return Dead(
        Figure("Dead letters", sum(failures), links.page(page, campaign="no")),
        Figure("Everyday results", sum(everyday), links.page(page, campaign="yes")),
        [
            Cause(code, links.messages(status=Status.FAILED, error=code.code or NO_ERROR))
            for code in counts
            if not code.campaign
        ][:TOP_CAUSES],
    )


def _of(orgs: Collection[int] | None) -> Q:
    return Q() if orgs is None else Q(org__in=orgs)
