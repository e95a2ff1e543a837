"""Whom to tell of an incident: the routes of the console, and those of the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings

from alerts.models import Route
from alerts.severity import Severity, rank

Outlet = Route.Outlet


@dataclass(frozen=True, slots=True)
class Target:
    """One outlet to be told by; without a route it is the settings'."""

    outlet: str
    route_id: int | None = None


def targets(severity: str, org_id: int | None, *, is_part: bool = False) -> list[Target]:
    """Return who is told of an incident of that severity and organisation.

    Of an incident that is part of the installation's only the organisation's own routes are told.
    """
    routes = (
        Route.objects.active()
        .order_by("pk")
        .values_list("pk", "outlet", "org_id", "least_severity")
    )
    found = [
        Target(outlet, pk)
        for pk, outlet, org, least in routes
        if rank(severity) >= rank(least) and (org == org_id if org or is_part else True)
    ]
    if not is_part and rank(severity) >= rank(Severity.WARNING):
        found += of_settings()
    return found


def of_settings() -> list[Target]:
    """Return the outlets that the settings turn on."""
    found = []
    if settings.OUTBOUND_ALERT_EMAIL_ENABLED and settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS:
        found.append(Target(Outlet.EMAIL))
    if settings.OUTBOUND_ALERT_SLACK_ENABLED and settings.OUTBOUND_ALERT_SLACK_WEBHOOK_URL:
        found.append(Target(Outlet.SLACK))
    return found


def of_reports() -> list[tuple[Target, int | None]]:
    """Return who gets the daily report by e-mail, and of which organisation (None: all)."""
    routes = Route.objects.active().filter(outlet=Outlet.EMAIL, daily_report=True).order_by("pk")
    found: list[tuple[Target, int | None]] = [
        (Target(Outlet.EMAIL, pk), org) for pk, org in routes.values_list("pk", "org_id")
    ]
    if settings.OUTBOUND_ALERT_DAILY_REPORT:
        found += [(target, None) for target in of_settings() if target.outlet == Outlet.EMAIL]
    return found


def addresses(text: str) -> list[str]:
    """Return the addresses of a text, each once; commas, semicolons, blanks and lines part them."""
    return list(dict.fromkeys(part for part in re.split(r"[,;\s]+", text) if part))
