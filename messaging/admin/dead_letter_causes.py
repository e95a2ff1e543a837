"""The page that shows the dead letter queue in groups, with their trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from messaging.dead_letters import grouping
from messaging.dead_letters.grouping import Group
from messaging.dead_letters.selection import Selection
from orgs import database, staff
from orgs.models import Organization

HERE = "admin:messaging_deadletter_causes"
# Organisations to choose from.
MOST_ORGS = 500
SPARK_HEIGHT = 20
CHART_HEIGHT = 80


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a small chart."""

    x: int
    y: int
    height: int
    tip: str


@dataclass(frozen=True, slots=True)
class Row:
    """A group, or all there is, with where it leads."""

    group: Group | None
    list_url: str
    requeue_url: str
    discard_url: str
    bars: Sequence[Bar] = ()


def page(model_admin: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    """Return the page; the selection comes from the address."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        chosen = Selection.of(request.GET.dict())
    except ValueError:
        return redirect(HERE)
    now = database.now()
    failures = chosen.but(campaign=False)
    messages = staff.visible(failures.messages(), request.user)
    days = grouping.by_day(messages, now)
    causes = grouping.by_cause(messages, now)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Dead letter queue",
        "opts": model_admin.opts,
        "total": messages.count(),
        "all": row(None, failures),
        "everyday": _everyday(chosen, request, now),
        "causes": [
            row(cause, failures.but(error=cause.value), _bars(cause.trend, days, SPARK_HEIGHT))
            for cause in causes
        ],
        "templates": [
            row(group, failures.but(template=group.value))
            for group in grouping.by_template(messages, now)
        ],
        "numbers": [
            row(group, failures.but(number=int(group.value)))
            for group in grouping.by_number(messages, now)
        ],
        "days": [_day(day, count, failures) for day, count in reversed(days) if count],
        "first_day": days[0][0],
        "chart": _bars([count for _day_, count in days], days, CHART_HEIGHT),
        "most": grouping.MOST,
        "orgs": list(_orgs(request)[:MOST_ORGS]),
        "org": chosen.org,
        "may_act": request.user.has_perm("messaging.change_outboundmessage"),
    }
    return TemplateResponse(request, "admin/messaging/dead_letter_causes.html", context)


def row(group: Group | None, selection: Selection, bars: Sequence[Bar] = ()) -> Row:
    """Return a group with the addresses of its list and of what can be done to all of it."""
    query = urlencode(selection.as_texts())
    list_url, requeue_url, discard_url = (
        f"{reverse(f'admin:messaging_deadletter_{page}')}?{query}"
        for page in ("changelist", "requeue_all", "discard_all")
    )
    return Row(group, list_url, requeue_url, discard_url, bars)


def _orgs(request: HttpRequest) -> QuerySet[Organization, str]:
    rows = staff.visible(Organization.objects.order_by("org_id"), request.user)
    return rows.values_list("org_id", flat=True)


def _everyday(chosen: Selection, request: HttpRequest, now: datetime) -> list[Row]:
    """Return the everyday results of campaigns, which are no failures of ours."""
    results = chosen.but(campaign=True)
    messages = staff.visible(results.messages(), request.user)
    return [
        row(cause, results.but(error=cause.value)) for cause in grouping.by_cause(messages, now)
    ]


def _day(day: Any, count: int, selection: Selection) -> Row:
    begin = datetime.combine(day, time(), UTC)
    counts = grouping.Counts(count, 0, 0, begin)
    narrowed = selection.but(failed_from=begin, failed_until=begin + timedelta(days=1))
    return row(Group(str(day), str(day), counts), narrowed)


def _bars(counts: Sequence[int], days: Sequence[tuple[Any, int]], height: int) -> list[Bar]:
    most = max(counts, default=0) or 1
    bars = []
    for place, (count, (day, _all)) in enumerate(zip(counts, days, strict=True)):
        tall = max(1 if count else 0, round(count / most * height))
        bars.append(Bar(place * 5, height - tall, tall, f"{day}: {count}"))
    return bars
