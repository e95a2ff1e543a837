"""Counting what the timelines tell, a minute at a time, and reading the counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, TruncMinute

from messaging.models import Activity, MessageEvent
from messaging.queries import campaign_codes
from messaging.states import Status
from orgs import database

MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=24)
# A transaction may commit this long after the time it writes: such minutes are counted again.
SETTLED_AFTER = MINUTE
# Of this much the timelines are read at once.
STEP = timedelta(minutes=15)
KEPT_FOR = 2 * DAY
# Upper bounds of the classes of latency, seconds, each a fifth longer than the one before it;
# the last class is open. Half a second to an hour and a half.
BOUNDS = tuple(0.5 * 1.2**step for step in range(51))


def count_recent() -> int:
    """Count the minutes that are new or may have changed; return how many rows were written.

    Counting a minute again gives the same row, so it does not matter who else counts.
    """
    now = database.now()
    this_minute = now.replace(second=0, microsecond=0)
    last: datetime | None = Activity.objects.aggregate(last=Max("minute"))["last"]
    earliest = this_minute - DAY
    begin = max(earliest, min(last, this_minute) - SETTLED_AFTER) if last else earliest
    written = rows = 0
    while begin <= this_minute:
        # At rest there would be a whole day of steps.
        if not rows and not _moves().filter(recorded_at__gte=begin).exists():
            break
        end = min(begin + STEP, this_minute + MINUTE)
        rows = _count(begin, end)
        written += rows
        begin = end
    if written or not this_minute.minute:
        Activity.objects.filter(minute__lt=this_minute - KEPT_FOR).delete()
    return written


def conditions() -> dict[str, Q]:
    """Return what is counted, by name: each as a condition on the moves of messages."""
    everyday = Q(code__in=campaign_codes())
    return {
        # Whoever has it was sent it, also when the answer came after the status.
        "sent": Q(to_status=Status.SENT)
        | (Q(to_status=Status.DELIVERED) & ~Q(from_status=Status.SENT)),
        "delivered": Q(to_status=Status.DELIVERED),
        "failed": Q(to_status=Status.FAILED) & ~everyday,
        "campaign": Q(to_status=Status.FAILED) & everyday,
    }


def counted(name: str, begin: datetime, end: datetime) -> QuerySet[MessageEvent]:
    """Return the moves that a figure from ``begin`` to before ``end`` counts."""
    span = MessageEvent.objects.filter(recorded_at__gte=begin, recorded_at__lt=end)
    return span.filter(conditions()[name])


def _moves() -> QuerySet[MessageEvent]:
    """Return the events that are counted."""
    ends = [Status.SENT, Status.DELIVERED, Status.FAILED]
    return MessageEvent.objects.filter(to_status__in=ends)


def _count(begin: datetime, end: datetime) -> int:
    span = _moves().filter(recorded_at__gte=begin, recorded_at__lt=end)
    counts = conditions()
    moves = span.annotate(
        minute=TruncMinute("recorded_at"),
        number=F("message__phone_number_id"),
        channel=F("message__channel"),
    )
    latencies = _latencies(moves)
    rows = moves.values("minute", "org_id", "number", "channel").annotate(
        sent=Count("pk", filter=counts["sent"]),
        delivered=Count("pk", filter=counts["delivered"]),
        failed=Count("pk", filter=counts["failed"]),
        campaign=Count("pk", filter=counts["campaign"]),
    )
    fresh = [
        {
            "minute": row["minute"],
            "org_id": row["org_id"],
            "phone_number_id": row["number"],
            "channel": row["channel"],
            **{name: row[name] for name in ("sent", "delivered", "failed", "campaign")},
            "latencies": latencies.get((row["minute"], row["number"], row["channel"]), []),
        }
        for row in rows.order_by("minute", "number", "channel")
    ]
    database.upsert_rows(Activity, fresh, key=["minute", "phone_number_id", "channel"])
    return len(fresh)


def _latencies(moves: QuerySet[Any]) -> dict[tuple[datetime, int, str], list[int]]:
    """Count delivered messages by how long it took from their time until the phone had them."""
    took = ExpressionWrapper(
        F("message__delivered_at") - Coalesce(F("message__scheduled_at"), F("message__created_at")),
        output_field=DurationField(),
    )
    classes = Case(
        *[When(took__lt=timedelta(seconds=top), then=place) for place, top in enumerate(BOUNDS)],
        default=Value(len(BOUNDS)),
        output_field=IntegerField(),
    )
    rows = (
        moves.filter(to_status=Status.DELIVERED, message__delivered_at__isnull=False)
        .annotate(took=took)
        .annotate(place=classes)
        .values("minute", "number", "channel", "place")
        .annotate(count=Count("pk"))
    )
    found: dict[tuple[datetime, int, str], list[int]] = {}
    for row in rows:
        key = (row["minute"], row["number"], row["channel"])
        found.setdefault(key, [0] * (len(BOUNDS) + 1))[row["place"]] = row["count"]
    return found


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of messages in some time."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    campaign: int = 0

    @property
    def failure_rate(self) -> float | None:
        """Return the share that failed; None when nothing was tried."""
        tried = self.sent + self.failed
        return self.failed / tried if tried else None

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.sent + other.sent,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.campaign + other.campaign,
        )


_COUNTS = ("sent", "delivered", "failed", "campaign")


def between(
    begin: datetime, end: datetime, orgs: Collection[int] | None = None
) -> QuerySet[Activity]:
    """Return the counted minutes from ``begin`` to before ``end``; of some organisations only."""
    rows = Activity.objects.filter(minute__gte=begin, minute__lt=end)
    return rows if orgs is None else rows.filter(org__in=orgs)


def by_channel(rows: QuerySet[Activity]) -> dict[str, Totals]:
    """Return the totals of each channel."""
    return dict(_by(rows, "channel"))


def by_number(rows: QuerySet[Activity]) -> dict[int, Totals]:
    """Return the totals of each number, by its primary key."""
    return dict(_by(rows, "phone_number"))


def by_time(
    rows: QuerySet[Activity], begin: datetime, end: datetime, step: timedelta
) -> list[tuple[datetime, Totals]]:
    """Return the totals of each step of time, also of those in which nothing happened."""
    steps = dict.fromkeys(_starts(begin, end, step), Totals())
    for minute, totals in _by(rows, "minute"):
        steps[begin + step * ((minute - begin) // step)] += totals
    return list(steps.items())


def _by(rows: QuerySet[Activity], field: str) -> Iterator[tuple[Any, Totals]]:
    sums = [Sum(name) for name in _COUNTS]
    for key, *counts in rows.order_by(field).values(field).values_list(field, *sums):
        yield key, Totals(*counts)


def _starts(begin: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += step


def percentiles(rows: QuerySet[Activity], shares: Sequence[float]) -> list[float | None]:
    """Return how long so many of the delivered messages took at most, seconds; None of none."""
    merged = _merged(rows.values_list("latencies", flat=True))
    return [_percentile(merged, share) for share in shares]


def _merged(lists: Iterable[Sequence[int]]) -> list[int]:
    merged = [0] * (len(BOUNDS) + 1)
    for counts in lists:
        for place, count in enumerate(counts):
            merged[place] += count
    return merged


def _percentile(counts: Sequence[int], share: float) -> float | None:
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    passed = 0
    for place, count in enumerate(counts):
        if count and passed + count >= wanted:
            low = BOUNDS[place - 1] if place else 0.0
            high = BOUNDS[place] if place < len(BOUNDS) else low
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return BOUNDS[-1]
