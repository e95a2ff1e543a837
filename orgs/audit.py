"""Writing the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orgs.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what to what, and why; ids only, never a phone number, a body or a secret."""

    org_id: int | None
    actor: str
    action: str
    target: str
    reason: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def record(entries: Sequence[Entry]) -> None:
    """Append the entries, in the transaction of the change they tell of."""
    AuditEvent.objects.bulk_create(
        AuditEvent(
            org_id=entry.org_id,
            actor=entry.actor[:64],
            action=entry.action,
            target=target(entry.target),
            reason=entry.reason[:500],
            before=entry.before,
            after=entry.after,
        )
        for entry in entries
    )


def target(text: str) -> str:
    """Return what an entry is found by: long names, such as templates', are cut."""
    return text[:128]
