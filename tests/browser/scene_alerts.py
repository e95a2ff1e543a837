"""Incidents in each state, what was told of them, and the routes it went by."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from alerts.models import Alert, Notice, Route
from messaging.models import PhoneNumber
from orgs.models import Organization
from tests.browser.pages import address


def fill(number: PhoneNumber, staff: AbstractBaseUser) -> dict[str, str]:
    """Make routes, and an incident in each state; return the pages of them."""
    now = timezone.now()
    mail = Route.objects.create(
        name="Night shift", outlet="email", recipients="ops@example.org", daily_report=True
    )
    Route.objects.create(
        name="Shop's chat",
        outlet="slack",
        org=number.org,
        url="https://hooks.slack.com/services/T0/B0/x",
        least_severity="critical",
    )
    Route.objects.create(
        name="Old pager", outlet="webhook", url="https://example.org/", is_active=False
    )
    incidents = {
        "open": {},
        "acknowledged": {"acknowledged_at": now, "acknowledged_by": f"user:{staff.pk}"},
        "muted": {"muted_until": now + timedelta(hours=4)},
        "resolved": {"resolved_at": now, "reopened": 2},
    }
    found = {}
    for state, fields in incidents.items():
        alert = _incident(number.org, state, **fields)
        _told(alert, mail, Notice.Kind.OPENED)
        _told(alert, None, Notice.Kind.REMINDER, state="GIVEN_UP", error="No answer in 10 s")
        found[f"incident-{state}"] = address("alerts_alert_change", alert.pk)
        if state == "open":
            found["incident-mute"] = address("alerts_alert_mute_one", alert.pk)
            found["incident-acknowledge"] = address("alerts_alert_acknowledge_one", alert.pk)
    return {**found, "route": address("alerts_route_change", mail.pk)}


def _incident(org: Organization, key: str, **fields: object) -> Alert:
    now = timezone.now()
    return Alert.objects.create(
        rule="stuck",
        key=key,
        org=org,
        severity="critical" if key == "open" else "warning",
        title=f"{org.org_id}: 12 messages are stuck",
        summary="12 messages have spent 3 attempts or more, the oldest for 5 hours.",
        figures=[["Stuck", "12"], ["Oldest", "5 hours"], ["Attempts at most", "4"]],
        table=[["Code", "Count", "Meaning", "Advice"], ["131016", "12", "Unavailable", "Wait"]],
        advice="Look at the errors of the attempts; requeue when the cause is gone.",
        page=f"{address('messaging_outboundmessage_changelist')}?status=QUEUED",
        opened_at=now - timedelta(hours=2),
        last_seen_at=now,
        last_notified_at=now - timedelta(hours=1),
        **fields,
    )


def _told(alert: Alert, route: Route | None, kind: str, **fields: object) -> None:
    now = timezone.now()
    Notice.objects.create(
        alert=alert,
        org=alert.org,
        route=route,
        outlet="email",
        kind=kind,
        severity=alert.severity,
        content={"title": alert.title},
        next_try_at=now,
        created_at=now,
        attempts=1,
        **{"state": "SENT", "sent_at": now, **fields},
    )
