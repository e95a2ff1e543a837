"""A person who goes by another name: their decisions go with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from consent import ledger
from consent.ledger import Entry
from consent.models import Consent, ConsentEvent, Contact, Decision, Source
from orgs import audit


@transaction.atomic
def move(old: Contact, new: Contact, *, at: datetime, actor: str, proof: Mapping[str, Any]) -> None:
    """Copy the history of the old contact to the new one, then revoke what the old one granted.

    The old name may belong to somebody else from now on, who has agreed to nothing. What holds
    for the new contact follows from both histories, as if they had always been one. Repeating it
    changes nothing. Both belong to the same organisation.
    """
    events = ConsentEvent.objects.filter(consent__contact=old).select_related("consent")
    # Not what an earlier telling of the same move has revoked.
    history = [event for event in events.order_by("pk") if event.proof != proof]
    copied = [(_entry(event, new), Decision(event.status)) for event in history]
    granted = Consent.objects.filter(contact=old, status=Decision.GRANTED)
    revoked = [
        Entry(old.pk, row.channel, row.purpose, Source.PROVIDER, actor, occurred_at=at, proof=proof)
        for row in granted
    ]
    ledger.record(old.org, copied + [(entry, Decision.REVOKED) for entry in revoked])
    if copied or revoked:
        audit.record(
            [
                audit.Entry(
                    old.org_id,
                    actor,
                    "contact.moved",
                    f"contact:{old.pk}",
                    after={"to": new.pk, "decisions": len(copied)},
                )
            ]
        )


def _entry(event: ConsentEvent, contact: Contact) -> Entry:
    return Entry(
        contact.pk,
        event.consent.channel,
        event.consent.purpose,
        event.source,
        event.actor,
        occurred_at=event.occurred_at,
        proof=event.proof,
        expires_at=event.expires_at,
    )
