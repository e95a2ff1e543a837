"""Trying out whether alerts arrive."""

from __future__ import annotations

from collections.abc import Iterable

from alerts import delivery, notices, routing
from alerts.models import Notice, Route
from alerts.routing import Target
from alerts.severity import Severity
from orgs import database

# One request of the console waits for all of them.
MOST_AT_ONCE = delivery.BATCH


def send_test(
    routes: Iterable[Route], *, with_settings: bool, severity: str = Severity.WARNING
) -> list[Notice]:
    """Send a test by the routes now, and by the outlets of the settings; return what became of it.

    What fails is not tried again.
    """
    targets = [Target(route.outlet, route.pk) for route in routes]
    targets += routing.of_settings() if with_settings else []
    written = notices.write_test(targets[:MOST_AT_ONCE], severity, database.now())
    sent = delivery.deliver(written)
    Notice.objects.filter(
        pk__in=[notice.pk for notice in written], state=Notice.State.PENDING
    ).update(state=Notice.State.GIVEN_UP)
    return sent


def told(notice: Notice) -> str:
    """Return in words what became of a test."""
    route = f"route {notice.route.name}" if notice.route is not None else "settings"
    what = f"{notice.get_outlet_display()} ({route})"
    if notice.state == Notice.State.SENT:
        return f"{what}: sent"
    return f"{what}: not sent. {notice.error or 'No answer'}"
