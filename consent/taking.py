"""Taking decisions in from outside, many at once: people found or made, then the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Decision
from orgs import database
from orgs.models import Organization

# Decisions in one transaction.
MOST = 1000


@transaction.atomic
def take(
    org: Organization,
    given: Sequence[Mapping[str, Any]],
    *,
    actor: str,
    default_at: datetime | None = None,
) -> list[ledger.Recorded]:
    """Record what RecordConsentSerializer found good; return what became of each, in order.

    A decision without a time is of ``default_at``, else of now; one of a clock ahead of ours is of
    now, or it would outlive a STOP that comes before then. A STOP is never undone here but by the
    rules of the ledger: see ``Recorded.opted_out``.
    """
    now = database.now()
    at = default_at or now
    recipients = [Recipient(item.get("phone"), item.get("bsuid")) for item in given]
    people = contacts.find_or_create(org, recipients)
    pairs = [
        (
            ledger.Entry(
                contact_id=people[recipient].pk,
                channel=item["channel"],
                purpose=item["purpose"],
                source=item["source"],
                actor=actor,
                occurred_at=min(item.get("occurred_at") or at, now),
                proof=item["proof"],
                expires_at=item["expires_at"],
            ),
            Decision(item["status"]),
        )
        for item, recipient in zip(given, recipients, strict=True)
    ]
    # Contacts are written before consents are locked, as everywhere.
    contacts.set_zones(
        org,
        {
            people[recipient].pk: item["time_zone"]
            for item, recipient in zip(given, recipients, strict=True)
            if item.get("time_zone")
        },
    )
    return ledger.record(org, pairs)
