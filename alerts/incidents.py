"""The life of an incident: opened once, reminded of, worse, back again, resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from alerts import metrics
from alerts.models import Alert, Notice
from alerts.rules.base import Finding
from alerts.severity import rank, worse
from orgs.models import Organization

Kind = Notice.Kind

# An incident this many times as bad as when last told is told again.
WORSE_BY = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """Something people should hear of an incident."""

    alert: Alert
    kind: Notice.Kind


def open_of(rule: str) -> dict[str, Alert]:
    """Lock and return the rule's open incidents by their keys; staff's deeds wait meanwhile."""
    rows = Alert.objects.open().filter(rule=rule).order_by("pk")
    return {alert.key: alert for alert in rows.select_for_update()}


def follow(
    rule: str, findings: Sequence[Finding], known: Mapping[str, Alert], at: datetime
) -> list[Step]:
    """Open, update and resolve the rule's incidents; return what is to be told.

    In a transaction that has locked the check, so that nobody else does the same meanwhile.
    """
    orgs = _orgs(findings)
    steps = []
    for finding in findings:
        alert = known.get(finding.key)
        if alert is None:
            alert, kind = _begin(rule, finding, orgs, at)
        else:
            kind = _go_on(alert, finding, at)
            _describe(alert, finding, orgs)
        if kind is not None and not alert.is_muted(at):
            metrics.count_finding(rule, finding.labels if kind != Kind.REMINDER else ())
            alert.last_notified_at, alert.told_size = at, finding.size
            alert.is_told = not finding.is_event
            steps.append(Step(alert, kind))
        alert.last_seen_at = at
        alert.save()
    gone = known.keys() - {finding.key for finding in findings}
    steps += [step for key in sorted(gone) if (step := _resolve(known[key], at)) is not None]
    return steps + _ended_in_silence(rule, at)


def _begin(
    rule: str, finding: Finding, orgs: Mapping[str, int], at: datetime
) -> tuple[Alert, Notice.Kind | None]:
    """Open an incident, or go on with the one that resolved a moment ago.

    It is told when it comes back for the first time; one that comes and goes is reminded of.
    """
    recent = (
        Alert.objects.select_for_update()
        .filter(rule=rule, key=finding.key, resolved_at__gt=at - cool_down())
        .order_by("-resolved_at")
        .first()
    )
    if recent is None or finding.is_event:
        fresh = Alert(rule=rule, key=finding.key, opened_at=at, severity=finding.severity)
        _describe(fresh, finding, orgs)
        return fresh, Kind.OPENED
    recent.resolved_at = None
    recent.reopened += 1
    recent.acknowledged_at, recent.acknowledged_by = None, ""
    kind = Kind.AGAIN if recent.reopened == 1 or _is_worse(recent, finding) else None
    _describe(recent, finding, orgs)
    return recent, kind or (Kind.AGAIN if _is_due(recent, at) else None)


def _go_on(alert: Alert, finding: Finding, at: datetime) -> Notice.Kind | None:
    if _is_worse(alert, finding):
        return Kind.WORSE
    if alert.acknowledged_at is None and not alert.is_event and _is_due(alert, at):
        return Kind.REMINDER
    return None


def _is_worse(alert: Alert, finding: Finding) -> bool:
    is_graver = rank(finding.severity) > rank(alert.severity)
    return is_graver or (alert.told_size > 0 and finding.size >= WORSE_BY * alert.told_size)


def _is_due(alert: Alert, at: datetime) -> bool:
    return alert.last_notified_at is None or at - alert.last_notified_at >= cool_down()


def _resolve(alert: Alert, at: datetime) -> Step | None:
    """End the incident; its end is told to those who heard that it goes on.

    Of a muted one it is told when the silence ends.
    """
    is_told = alert.is_told and not alert.is_muted(at)
    alert.resolved_at = at
    alert.is_told = alert.is_told and not is_told
    alert.save()
    return Step(alert, Kind.RESOLVED) if is_told else None


def _ended_in_silence(rule: str, at: datetime) -> list[Step]:
    """Return the ends that came while nothing was to be said, and can be told by now."""
    ended = Alert.objects.filter(rule=rule, resolved_at__lt=at, is_told=True)
    found = list(ended.exclude(muted_until__gt=at).order_by("pk").select_for_update())
    for alert in found:
        alert.is_told = False
        alert.save(update_fields=["is_told"])
    return [Step(alert, Kind.RESOLVED) for alert in found]


def _describe(alert: Alert, finding: Finding, orgs: Mapping[str, int]) -> None:
    """Let the incident say what the finding says; its severity only ever grows."""
    alert.severity = worse(alert.severity, finding.severity)
    alert.org_id = orgs.get(finding.org)
    alert.is_part = finding.is_part
    alert.is_event = finding.is_event
    alert.title = finding.title[:200]
    alert.summary = finding.summary[:1000]
    alert.figures = [list(pair) for pair in finding.figures]
    alert.table = [list(row) for row in finding.table]
    alert.advice = finding.advice
    alert.size = finding.size
    alert.page = page_of(finding)


def page_of(finding: Finding) -> str:
    """Return the path of the console's page about a finding, filtered."""
    if not finding.page:
        return ""
    path = reverse(f"admin:{finding.page}_changelist")
    return f"{path}?{urlencode(finding.query)}" if finding.query else path


def _orgs(findings: Sequence[Finding]) -> dict[str, int]:
    names = {finding.org for finding in findings if finding.org}
    return dict(Organization.objects.filter(org_id__in=names).values_list("org_id", "pk"))


def cool_down() -> timedelta:
    """Return after how long an incident that goes on is told again."""
    return timedelta(minutes=settings.OUTBOUND_ALERT_COOLDOWN_MINUTES)
