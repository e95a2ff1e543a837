"""Learning which phone and which business-scoped id are one person's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from consent import contacts, moves, remembered
from consent.contacts import Recipient
from consent.models import Contact
from orgs import database
from orgs.models import Organization


@dataclass(slots=True)
class Plan:
    """What follows from the pairs told, by contact."""

    named: dict[int, Recipient] = field(default_factory=dict)  # they have both names from now on
    merged: dict[int, int] = field(default_factory=dict)  # into whom; known by the BSUID only
    apart: list[tuple[int, int]] = field(default_factory=list)  # of phone and BSUID, but not one

    @property
    def contact_ids(self) -> set[int]:
        """Return whom it is about."""
        return self.named.keys() | self.merged.keys() | {pk for pair in self.apart for pk in pair}


def plan(org: Organization, told: Iterable[Recipient]) -> Plan:
    """Return what is new in the pairs, by one query; of a name told twice the first counts."""
    pairs = _distinct(told)
    made = Plan()
    known = contacts.find_all(org, pairs)
    for pair in pairs:
        found = known.get(pair, [])
        by_phone = next((each for each in found if each.phone == pair.phone), None)
        by_bsuid = next((each for each in found if each.bsuid == pair.bsuid), None)
        if by_phone is not None and by_bsuid is not None:
            _compare(made, pair, by_phone, by_bsuid)
        elif by_phone is not None and by_phone.bsuid is None:
            made.named[by_phone.pk] = pair
        elif by_bsuid is not None and by_bsuid.phone is None:
            made.named[by_bsuid.pk] = pair
    return made


def _compare(made: Plan, pair: Recipient, by_phone: Contact, by_bsuid: Contact) -> None:
    if by_phone.pk == by_bsuid.pk:
        return
    if by_phone.bsuid is None and by_bsuid.phone is None:
        made.merged[by_bsuid.pk] = by_phone.pk
        made.named[by_phone.pk] = pair
    else:
        made.apart.append((by_phone.pk, by_bsuid.pk))


@transaction.atomic
def learn(
    org: Organization, told: Sequence[Recipient], *, at: datetime, actor: str
) -> Mapping[int, int]:
    """Note the pairs; return which contacts were merged, and into which.

    A merged contact gives its BSUID and its history to the other one, so that a STOP under either
    name is one under both. Contacts with contradicting names, as after a change of numbers, stay
    apart and share their STOPs only. What refers to a merged contact is the caller's to move.
    """
    ids = plan(org, told).contact_ids
    if not ids:
        return {}
    list(Contact.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    found = plan(org, told)
    moves.merge(org, found.merged, at=at, actor=actor)
    moves.share_stops(org, found.apart)
    _write(found, at)  # from here on nothing is decided for the merged contacts
    remembered.apply(org, [(pk, [pair.phone, pair.bsuid]) for pk, pair in found.named.items()])
    return found.merged


def _write(found: Plan, at: datetime) -> None:
    """Take the names off the merged contacts before they are written on the others."""
    database.update_rows(
        Contact,
        [
            {
                "pk": old,
                "bsuid": None,
                "merged_into_id": new,
                "undeliverable_count": 0,
                "suspect_at": None,
                "updated_at": at,
            }
            for old, new in sorted(found.merged.items())
        ],
    )
    database.update_rows(
        Contact,
        [
            {"pk": pk, "phone": pair.phone, "bsuid": pair.bsuid, "updated_at": at}
            for pk, pair in sorted(found.named.items())
        ],
    )


def _distinct(told: Iterable[Recipient]) -> list[Recipient]:
    """Return the pairs that have both names, none of which stands in another pair."""
    names: set[str] = set()
    pairs: list[Recipient] = []
    for pair in told:
        if pair.phone and pair.bsuid and not names & {pair.phone, pair.bsuid}:
            names |= {pair.phone, pair.bsuid}
            pairs.append(pair)
    return pairs
