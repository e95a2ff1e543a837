"""The daily report of the dead letter queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.urls import reverse

from alerts import delivery, notices, routing
from alerts.models import CheckRun
from alerts.rules.base import messages as in_words
from alerts.rules.base import moment
from messaging import queries
from messaging.models import OutboundMessage
from messaging.queries import DlqReport
from orgs import database
from orgs.models import Organization

DAILY = "daily_report"
# A second beat, or one that was started again, does not send it twice.
APART = timedelta(hours=12)


@transaction.atomic
def write_daily() -> int:
    """Write the report for everybody who wants it; return for how many."""
    CheckRun.objects.get_or_create(name=DAILY)
    last = CheckRun.objects.select_for_update().get(name=DAILY)
    now = database.now()
    if last.read_at is not None and now - last.read_at < APART:
        return 0
    wanted = routing.of_reports()
    contents = {org: content_of(org) for org in {org for _target, org in wanted}}
    for target, org in wanted:
        notices.write_report(target, contents[org], org, now)
    CheckRun.objects.filter(pk=last.pk).update(read_at=now)
    delivery.soon()
    return len(wanted)


def content_of(org_id: int | None) -> dict[str, Any]:
    """Return the report of an organisation, or of all (None), as a notice says it."""
    messages = OutboundMessage.objects.all()
    name = ""
    if org_id is not None:
        org = Organization.objects.get(pk=org_id)
        messages, name = messages.of(org), org.org_id
    report = queries.dlq_report(messages, database.now())
    page = reverse("admin:messaging_deadletter_changelist")
    return {
        "title": f"Dead letter queue{f' of {name}' if name else ''}: {in_words(report.total)}",
        "summary": _summary(report),
        "figures": _figures(report, with_orgs=org_id is None),
        "table": _table(report),
        "advice": " ".join(action.text for action in report.actions if not action.code),
        "page": f"{page}?{urlencode({'org': name})}" if name else page,
    }


def _summary(report: DlqReport) -> str:
    if not report.total:
        return "No message waits for a decision."
    change = report.trend.change
    tendency = "as many as" if not change else "more than" if change > 0 else "fewer than"
    return (
        f"{report.trend.last_24h:,} failed in the last 24 hours, {tendency} in the 24 hours "
        f"before ({report.trend.previous_24h:,})."
    )


def _figures(report: DlqReport, *, with_orgs: bool) -> list[list[str]]:
    figures = [["Dead letters", f"{report.total:,}"]]
    figures += [[channel, f"{count:,}"] for channel, count in report.by_channel.items()]
    if with_orgs:
        largest = list(report.by_org.items())[: queries.TOP_CODES]
        figures += [[f"Organisation {org}", f"{count:,}"] for org, count in largest]
    figures += [
        ["Failed in 24 hours", f"{report.trend.last_24h:,}"],
        ["In the 24 hours before", f"{report.trend.previous_24h:,}"],
        ["Campaign outcomes beside", f"{report.campaign:,}"],
        ["Oldest", moment(report.oldest_failed_at)],
    ]
    return figures


def _table(report: DlqReport) -> list[list[str]]:
    rows = [
        [each.code or "none", f"{each.count:,}", each.title, each.advice]
        for each in report.top_codes
        if not each.campaign
    ]
    return [["Code", "In 24 h", "Meaning", "What to do"], *rows] if rows else []
