"""Learning people's names from what Meta reports: phone and business-scoped id of one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Case, Value, When

from consent import pairs
from consent.contacts import Recipient
from consent.models import Contact
from messaging import transitions, windows
from messaging.models import InboundMessage, OutboundMessage, PhoneNumber
from messaging.providers.base import Receipt
from orgs import actors
from orgs.models import Organization

Told = tuple[Recipient, Organization]


def learn(told: Iterable[Told], now: datetime) -> None:
    """Note which phone and BSUID belong together; merge contacts that turn out to be one person.

    The number of statements does not depend on the number of people.
    """
    by_org: dict[int, list[Told]] = {}
    for person, org in told:
        if person.phone and person.bsuid:
            by_org.setdefault(org.pk, []).append((person, org))
    for _org_id, known in sorted(by_org.items()):
        _learn(known[0][1], [person for person, _org in known], now)


def learn_from_statuses(told: Sequence[tuple[Receipt, PhoneNumber, int]], now: datetime) -> None:
    """Learn from statuses, each with the contact its message went to.

    Meta may write their phone in another form than we do (Brazil, Mexico), so the contact's own
    counts; only of somebody known by BSUID alone the phone is learnt.
    """
    named = [item for item in told if item[0].bsuid]
    if not named:
        return
    contacts = Contact.objects.filter(pk__among={pk for _receipt, _number, pk in named})
    names = {
        pk: (phone, bsuid) for pk, phone, bsuid in contacts.values_list("pk", "phone", "bsuid")
    }
    learn(
        [
            (Recipient(phone or receipt.phone or None, receipt.bsuid), number.org)
            for receipt, number, pk in named
            for phone, bsuid in [names[pk]]
            if (phone or bsuid) and (not phone or bsuid != receipt.bsuid)
        ],
        now,
    )


@transaction.atomic
def _learn(org: Organization, told: Sequence[Recipient], now: datetime) -> None:
    found = pairs.plan(org, told)
    if found.merged:
        # Messages are locked before contacts and consents are written, as everywhere.
        theirs = OutboundMessage.objects.filter(contact_id__in=found.merged)
        transitions.lock(theirs.values_list("pk", flat=True))
    if found.contact_ids:
        _move(pairs.learn(org, told, at=now, actor=actors.META))


def _move(merged: Mapping[int, int]) -> None:
    """Have what refers to merged contacts refer to those they were merged into."""
    if not merged:
        return
    new = Case(*(When(contact_id=old, then=Value(pk)) for old, pk in merged.items()))
    for model in (OutboundMessage, InboundMessage):
        model._default_manager.filter(contact_id__in=merged).update(contact_id=new)
    windows.move(merged)
