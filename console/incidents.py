"""Open incidents for the dashboard, and those that went on while a message was under way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q

from alerts.models import Alert, AlertQuerySet
from console import links
from messaging.models import OutboundMessage
from messaging.states import ENDED

SHOWN = 10
_COLOURS = {"critical": "danger", "warning": "warning"}


@dataclass(frozen=True, slots=True)
class Incident:
    """What the dashboard shows of one."""

    alert: Alert
    colour: str
    url: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """Those shown, and how many are open."""

    shown: list[Incident]
    total: int
    url: str


def colour_of(alert: Alert) -> str:
    """Return how bad it is, as a colour's name."""
    return _COLOURS.get(alert.severity, "info")


def url_of(alert: Alert) -> str:
    """Return the address of its page."""
    return links.page("alerts_alert_change", alert.pk)


def read(orgs: Collection[int] | None) -> Incidents:
    """Return the open incidents, of all organisations or of these only; the latest first."""
    found = Alert.objects.open()
    if orgs is not None:
        found = found.of_any(orgs)
    shown = list(found.order_by("-opened_at")[:SHOWN])
    return Incidents(
        [Incident(alert, colour_of(alert), url_of(alert)) for alert in shown],
        len(shown) if len(shown) < SHOWN else found.count(),
        links.page("alerts_alert_changelist", state="open"),
    )


def beside(message: OutboundMessage, reach: Collection[int] | None) -> AlertQuerySet:
    """Return the incidents of its organisation that went on while the message was under way.

    Whoever reaches everything is told of those of the whole installation too: an outage at Meta
    or a worker that is gone stops this message as well.
    """
    of = Q(org=message.org_id)
    alerts = Alert.objects.filter(of | Q(org=None) if reach is None else of)
    if message.status in ENDED:
        alerts = alerts.filter(opened_at__lte=message.updated_at)
    return alerts.filter(Q(resolved_at=None) | Q(resolved_at__gte=message.created_at))
