"""What staff record for one person: a decision with its proof, and in the audit trail why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from consent import ledger
from consent.models import Contact, Decision, Source
from orgs import audit, database


@dataclass(frozen=True, slots=True)
class Given:
    """A decision as staff know it."""

    channel: str
    purpose: str
    status: Decision
    text: str = field(default="", repr=False)  # what proves it
    occurred_at: datetime | None = None  # None: now
    expires_at: datetime | None = None


@transaction.atomic
def decide(contact: Contact, given: Given, *, actor: str, reason: str) -> ledger.Recorded:
    """Record what staff say the person decided; return what became of it.

    A STOP is undone by the ledger's rules only: by a proof of agreement dated later. What is not
    recorded leaves no audit row.
    """
    now = database.now()
    entry = ledger.Entry(
        contact_id=contact.pk,
        channel=given.channel,
        purpose=given.purpose,
        source=Source.CONSOLE,
        actor=actor,
        occurred_at=min(given.occurred_at or now, now),
        proof={"text": given.text} if given.text else {},
        expires_at=given.expires_at,
    )
    (made,) = ledger.record(contact.org, [(entry, given.status)])
    if made.result == ledger.RECORDED:
        audit.record(
            [
                audit.Entry(
                    contact.org_id,
                    actor,
                    f"consent.{given.status.lower()}",
                    f"consent:{made.consent.pk}",
                    reason,
                    before={"status": made.was},
                    after={"status": made.consent.status},
                )
            ]
        )
    return made
