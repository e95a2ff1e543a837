"""Following people who change their number or business-scoped id (Meta's system messages)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from consent import contacts, moves
from consent.contacts import Recipient
from consent.models import Contact
from messaging import names
from messaging.models import PhoneNumber
from messaging.providers.base import Inbound
from messaging.providers.whatsapp import system_messages
from orgs import actors


@dataclass(frozen=True, slots=True)
class _Change:
    old: Recipient
    new: Recipient


def follow(received: Iterable[tuple[Inbound, PhoneNumber]], now: datetime) -> None:
    """Carry consents over to the new name of each person who changed it.

    The old contact stays, without permission to write, for whoever has its name from now on. A
    new id beside the same phone number is noted on the contact; a message that was queued for the
    old name is cancelled with its consent. Such messages are rare, so each is taken by itself.
    """
    for inbound, number in received:
        change = _read(inbound) if inbound.kind == system_messages.SYSTEM else None
        if change is not None:
            _follow(inbound, number, change, now)


def _read(inbound: Inbound) -> _Change | None:
    told = system_messages.read(inbound.raw)
    if told is None:
        return None
    old_id = inbound.bsuid if inbound.bsuid != told.bsuid else ""
    # Without a new number the person keeps the one they have.
    new = Recipient(told.phone or inbound.phone or None, told.bsuid or None)
    return _Change(Recipient(inbound.phone or None, old_id or None), new)


def _follow(inbound: Inbound, number: PhoneNumber, change: _Change, now: datetime) -> None:
    if not (change.old.phone or change.old.bsuid) or not (change.new.phone or change.new.bsuid):
        return
    known = contacts.find_all(number.org, [change.old]).get(change.old, [])
    if not known:
        return
    if change.new.phone and change.new.phone == change.old.phone and change.new.bsuid:
        _rename(known[0], change.new.bsuid, now)
        names.learn([(change.new, number.org)], now)
    new = contacts.find_or_create(number.org, [change.new])[change.new]
    proof = {"means": "new_name", "message_id": inbound.provider_message_id}
    for contact in known:
        if contact.pk != new.pk:
            moves.move(contact, new, at=inbound.at, actor=actors.META, proof=proof)


def _rename(contact: Contact, bsuid: str, now: datetime) -> None:
    """Note the new id on the contact of the same phone.

    When a contact has it already, only the old one goes: the two may be one person.
    """
    taken = Contact.objects.of(contact.org).filter(bsuid=bsuid).exclude(pk=contact.pk).exists()
    if not taken or contact.phone:
        known = None if taken else bsuid
        Contact.objects.filter(pk=contact.pk).update(bsuid=known, updated_at=now)
