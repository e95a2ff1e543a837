"""Keeping what people write, with the message of ours that it answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from consent import contacts
from consent.contacts import Recipient
from messaging import attempts
from messaging.models import InboundMessage, OutboundMessage, PhoneNumber
from messaging.providers.base import Inbound
from messaging.providers.whatsapp import inbound_text
from messaging.providers.whatsapp.system_messages import SYSTEM
from messaging.windows import Written


def keep(written: Sequence[Written], now: datetime) -> None:
    """Store each message once, by a fixed number of statements."""
    if not written:
        return
    answered = _answered(written)
    with_text = settings.OUTBOUND_INBOUND_TEXT_DAYS > 0
    InboundMessage.objects.bulk_create(
        (
            InboundMessage(
                org_id=number.org_id,
                phone_number=number,
                contact_id=contact,
                provider_message_id=inbound.provider_message_id,
                kind=inbound.kind,
                text=inbound_text.words(inbound.kind, inbound.raw) if with_text else "",
                reply_to=answered.get((number.pk, _quoted(inbound))),
                at=inbound.at,
                received_at=now,
            )
            for inbound, number, contact in written
        ),
        ignore_conflicts=True,
    )


def is_written(inbound: Inbound) -> bool:
    """Say whether a person wrote it, not WhatsApp in their place."""
    return inbound.kind != SYSTEM


def with_contacts(received: Sequence[tuple[Inbound, PhoneNumber]]) -> list[Written]:
    """Return each with its contact, created where nobody knew them yet."""
    by_org: dict[int, list[tuple[Inbound, PhoneNumber]]] = {}
    for inbound, number in received:
        by_org.setdefault(number.org_id, []).append((inbound, number))
    found: list[Written] = []
    for entries in by_org.values():
        people = contacts.find_or_create(
            entries[0][1].org, [_person(inbound) for inbound, _number in entries]
        )
        found += [(inbound, number, people[_person(inbound)].pk) for inbound, number in entries]
    return found


def _answered(written: Sequence[Written]) -> dict[tuple[int, str], uuid.UUID]:
    """Return our messages that were quoted, by number and Meta's id."""
    wamids = {wamid for inbound, _number, _contact in written if (wamid := _quoted(inbound))}
    if not wamids:
        return {}
    calls = attempts.load_by_wamid(wamids)
    numbers = dict(
        OutboundMessage.objects.filter(pk__in={call.message_id for call in calls}).values_list(
            "pk", "phone_number_id"
        )
    )
    return {
        (numbers[call.message_id], call.provider_message_id): call.message_id
        for call in calls
        if call.message_id in numbers
    }


def _quoted(inbound: Inbound) -> str:
    return inbound_text.quoted(inbound.kind, inbound.raw)


def _person(inbound: Inbound) -> Recipient:
    return Recipient(phone=inbound.phone or None, bsuid=inbound.bsuid or None)
