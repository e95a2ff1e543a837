"""The dead letters in groups: by error code, template, number and day, with their trend."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate

from messaging import queries
from messaging.dead_letters.selection import NO_ERROR, NO_TEMPLATE
from messaging.models import PhoneNumber
from messaging.models.messages import MessageQuerySet

# Groups shown of each kind, the largest.
MOST = 20
# Days of the trend, today included.
DAYS = 14


class Counts(NamedTuple):
    """How many there are, and since when."""

    all: int
    last_day: int  # failed in the last 24 hours
    day_before: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters with one thing in common."""

    value: str  # what they share, as a filter takes it
    label: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Cause(Group):
    """Dead letters with one error code, its meaning and what to do."""

    title: str = ""
    advice: str = ""
    campaign: bool = False
    trend: list[int] = field(default_factory=list)  # by day, the oldest first


def by_cause(messages: MessageQuerySet, now: datetime) -> list[Cause]:
    """Return the error codes, the most frequent first."""
    found = _counted(messages, "error_code", now)
    trends = _trends(messages, [code for code, _counts in found], now)
    causes = []
    for code, counts in found:
        title, advice = queries.explain(code)
        campaign = code in queries.campaign_codes()
        found_by = code or NO_ERROR
        causes.append(Cause(found_by, code, counts, title, advice, campaign, trends[code]))
    return causes


def by_template(messages: MessageQuerySet, now: datetime) -> list[Group]:
    """Return the templates; messages without one are a group too."""
    found = _counted(messages, "template_name", now)
    return [Group(name or NO_TEMPLATE, name or "no template", counts) for name, counts in found]


def by_number(messages: MessageQuerySet, now: datetime) -> list[Group]:
    """Return the numbers we sent from."""
    found = _counted(messages, "phone_number", now)
    named = PhoneNumber.objects.only("display_phone_number", "phone_number_id")
    numbers = named.in_bulk([pk for pk, _counts in found])
    return [Group(str(pk), str(numbers[pk]), counts) for pk, counts in found]


def by_day(messages: MessageQuerySet, now: datetime) -> list[tuple[date, int]]:
    """Return the count of each of the last days, today last."""
    counts = dict(_daily(messages, now))
    return [(day, counts.get(day, 0)) for day in days(now)]


def days(now: datetime) -> list[date]:
    """Return the days of the trend, today last."""
    return [(now - timedelta(days=back)).date() for back in reversed(range(DAYS))]


def _counted(messages: MessageQuerySet, name: str, now: datetime) -> list[tuple[Any, Counts]]:
    yesterday, before = now - timedelta(days=1), now - timedelta(days=2)
    found = (
        messages.order_by()
        .values(name)
        .annotate(
            many=Count("*"),
            last_day=Count("failed_at", filter=Q(failed_at__gt=yesterday)),
            day_before=Count("failed_at", filter=Q(failed_at__gt=before, failed_at__lte=yesterday)),
            latest=Max("failed_at"),
        )
        .order_by("-many", name)
        .values_list(name, "many", "last_day", "day_before", "latest")
    )
    return [(value, Counts(*counts)) for value, *counts in found[:MOST]]


def _daily(messages: MessageQuerySet, now: datetime, *names: str) -> list[tuple[Any, ...]]:
    """Return the values of the names, the day and the count of each group."""
    first = datetime.combine(days(now)[0], time(), UTC)
    return list(
        messages.filter(failed_at__gte=first)
        .order_by()
        .annotate(day=TruncDate("failed_at"))
        .values(*names, "day")
        .annotate(count=Count("*"))
        .values_list(*names, "day", "count")
    )


def _trends(messages: MessageQuerySet, codes: list[str], now: datetime) -> dict[str, list[int]]:
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    for code, day, count in _daily(messages.filter(error_code__in=codes), now, "error_code"):
        counts[code][day] = count
    return {code: [counts[code].get(day, 0) for day in days(now)] for code in codes}
