"""What staff do about an incident; each leaves an audit row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction

from alerts.models import Alert, AlertQuerySet
from orgs import audit


@transaction.atomic
def acknowledge(alerts: AlertQuerySet, *, actor: str, reason: str, at: datetime) -> int:
    """Say that somebody is at it: no more reminders; return how many incidents it was new for."""
    rows = list(
        alerts.open().filter(acknowledged_at=None).order_by("pk").select_for_update(of=("self",))
    )
    Alert.objects.filter(pk__in=[row.pk for row in rows]).update(
        acknowledged_at=at, acknowledged_by=actor
    )
    _record(rows, actor, "alert.acknowledged", reason)
    return len(rows)


@transaction.atomic
def mute(alerts: AlertQuerySet, until: datetime | None, *, actor: str, reason: str) -> int:
    """Say nothing of the incidents until then; None lets them speak again."""
    rows = list(alerts.open().order_by("pk").select_for_update(of=("self",)))
    Alert.objects.filter(pk__in=[row.pk for row in rows]).update(muted_until=until)
    after = {"muted_until": until.isoformat() if until else None}
    _record(rows, actor, "alert.muted" if until else "alert.unmuted", reason, after)
    return len(rows)


def _record(
    rows: Iterable[Alert],
    actor: str,
    action: str,
    reason: str,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        [
            audit.Entry(
                org_id=row.org_id,
                actor=actor,
                action=action,
                target=f"alert:{row.pk}",
                reason=reason,
                after={"rule": row.rule, **(after or {})},
            )
            for row in rows
        ]
    )
