"""Writing down what is to be said, to whom; sending is somebody else's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from alerts import routing
from alerts.incidents import Step
from alerts.models import Alert, Notice
from alerts.routing import Target
from alerts.severity import Severity
from orgs.models import Organization

OVERTAKEN = "Overtaken by a newer notice"


def write(steps: Iterable[Step], at: datetime) -> int:
    """Write a notice for each step and outlet; return how many. In the steps' transaction."""
    rows: list[Notice] = []
    for step in steps:
        alert = step.alert
        content = _content(alert, step.kind)
        for target in routing.targets(alert.severity, alert.org_id, is_part=alert.is_part):
            rows.append(_row(target, step.kind, alert.severity, content, at))
            rows[-1].alert, rows[-1].org_id = alert, alert.org_id
        # What an outlet could not be told in time is old news.
        Notice.objects.filter(alert=alert, state=Notice.State.PENDING).update(
            state=Notice.State.GIVEN_UP, error=OVERTAKEN
        )
    Notice.objects.bulk_create(rows)
    return len(rows)


def write_test(targets: Iterable[Target], severity: str, at: datetime) -> list[Notice]:
    """Write a test for each of the outlets."""
    content = {
        "title": "This is a test",
        "summary": "Nothing is wrong: somebody wanted to know whether alerts arrive here.",
        "figures": [["Asked for", f"{at:%d %b %Y %H:%M:%S} UTC"]],
        "advice": "There is nothing to do.",
    }
    rows = [_row(target, Notice.Kind.TEST, severity, content, at) for target in targets]
    return Notice.objects.bulk_create(rows)


def write_report(
    target: Target, content: Mapping[str, Any], org_id: int | None, at: datetime
) -> None:
    """Write a daily report."""
    row = _row(target, Notice.Kind.REPORT, Severity.INFO, content, at)
    row.org_id = org_id
    row.save()


def _row(
    target: Target, kind: Notice.Kind, severity: str, content: Mapping[str, Any], at: datetime
) -> Notice:
    return Notice(
        outlet=target.outlet,
        route_id=target.route_id,
        kind=kind,
        severity=severity,
        content=content,
        next_try_at=at,
        created_at=at,
    )


def _content(alert: Alert, kind: Notice.Kind) -> dict[str, Any]:
    org = Organization.objects.get(pk=alert.org_id).org_id if alert.org_id else ""
    return {
        "rule": alert.rule,
        "key": alert.key,
        "org": org,
        "title": alert.title,
        "summary": alert.summary,
        "figures": alert.figures,
        "table": alert.table,
        "advice": alert.advice if kind != Notice.Kind.RESOLVED else "",
        "page": alert.page,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        "reopened": alert.reopened,
    }
