"""A person under another name, or under two: their decisions go with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from consent import history, ledger
from consent.ledger import Entry
from consent.models import Consent, ConsentEvent, Contact, Decision, Source
from orgs import audit
from orgs.models import Organization

ONE_SECOND = timedelta(seconds=1)  # the resolution of Meta's event times


@transaction.atomic
def move(old: Contact, new: Contact, *, at: datetime, actor: str, proof: Mapping[str, Any]) -> None:
    """Copy the history of the old contact to the new one, then revoke what the old one granted.

    The old name may belong to somebody else from then on: what was decided under it after the
    move is theirs, and neither copied nor revoked, however late the move is told. What holds for
    the new contact follows from both histories, as if they had always been one. Repeating it
    changes nothing. Both belong to the same organisation.
    """
    _carry(old.org, {old.pk: new.pk}, _Told("contact.moved", actor, at, proof))


@transaction.atomic
def merge(org: Organization, merged: Mapping[int, int], *, at: datetime, actor: str) -> None:
    """Give contacts the whole history of others, old to new, that were the same people.

    Nothing more goes to the old ones: whatever still refers to one finds no permission.
    """
    _carry(org, merged, _Told("contact.merged", actor, at, {"means": "same_person"}))


def share_stops(org: Organization, pairs: Sequence[tuple[int, int]]) -> None:
    """Have each STOP that stands for one contact of a pair stand for the other one too.

    For those who seem to be one person while their names contradict each other, so that nothing
    else is known to be of both. The number of statements does not depend on the number of pairs.
    """
    others: dict[int, set[int]] = {}
    for one, other in pairs:
        others.setdefault(one, set()).add(other)
        others.setdefault(other, set()).add(one)
    known: dict[int, list[ConsentEvent]] = {}
    for event in _events(others).filter(consent__status=Decision.REVOKED):
        known.setdefault(event.consent_id, []).append(event)
    ledger.revoke(
        org,
        [
            _entry(stop, other)
            for events in known.values()
            for stop in history.stops(events)
            for other in sorted(others[stop.consent.contact_id])
        ],
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Why decisions go from one contact to another: what is noted of it."""

    action: str
    actor: str
    at: datetime
    proof: Mapping[str, Any]

    @property
    def until(self) -> datetime:
        """Return up to when decisions under the old name were the person's."""
        return self.at + ONE_SECOND


def _carry(org: Organization, carried: Mapping[int, int], told: _Told) -> None:
    """Copy the histories, old to new, and revoke what the old ones granted."""
    # Not what an earlier telling of the same move has revoked.
    events = _events(carried).filter(occurred_at__lt=told.until)
    past = [event for event in events if event.proof != told.proof]
    copied = [
        (_entry(event, carried[event.consent.contact_id]), Decision(event.status)) for event in past
    ]
    granted = Consent.objects.filter(
        contact_id__in=carried, status=Decision.GRANTED, decided_at__lt=told.until
    )
    revoked = [(_revocation(row, told), Decision.REVOKED) for row in granted]
    ledger.record(org, copied + revoked)
    counts = Counter(event.consent.contact_id for event in past)
    audit.record(
        [
            audit.Entry(
                org.pk,
                told.actor,
                told.action,
                f"contact:{old}",
                after={"to": new, "decisions": counts[old]},
            )
            for old, new in sorted(carried.items())
            if counts[old]
        ]
    )


def _events(contact_ids: Iterable[int]) -> QuerySet[ConsentEvent]:
    found = ConsentEvent.objects.filter(consent__contact_id__in=list(contact_ids))
    return found.select_related("consent").order_by("pk")


def _revocation(row: Consent, told: _Told) -> Entry:
    return Entry(
        row.contact_id,
        row.channel,
        row.purpose,
        Source.PROVIDER,
        told.actor,
        occurred_at=max(told.at, row.decided_at),
        proof=told.proof,
    )


def _entry(event: ConsentEvent, contact_id: int) -> Entry:
    return Entry(
        contact_id,
        event.consent.channel,
        event.consent.purpose,
        event.source,
        event.actor,
        occurred_at=event.occurred_at,
        proof=event.proof,
        expires_at=event.expires_at,
    )
