"""Our answer to a STOP or START: one short text inside the window the person has just opened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings

from consent.ledger import REPLY
from messaging import counting, transitions, wake
from messaging.models import OutboundMessage, PhoneNumber
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs.ids import uuid7

# An answer that comes later than this would only puzzle.
WORTH_SENDING_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One answer to one inbound message."""

    number: PhoneNumber
    contact_id: int
    to: str = field(repr=False)
    text: str = field(repr=False)
    answers: str  # the wamid that is answered


def queue(confirmations: Sequence[Confirmation], now: datetime) -> None:
    """Queue the answers, each once however often its inbound message is seen."""
    by_key = {_key(item): item for item in confirmations}
    known = OutboundMessage.objects.filter(
        org_id__in={item.number.org_id for item in confirmations}, idempotency_key__in=by_key
    )
    for key in set(known.values_list("idempotency_key", flat=True)) if by_key else ():
        del by_key[key or ""]
    messages = [_message(item, key, now) for key, item in by_key.items()]
    if not messages:
        return
    OutboundMessage.objects.bulk_create(messages)
    transitions.record_events([_accepted(message, now) for message in messages], now=now)
    counting.accepted(message.channel for message in messages)
    wake.on_commit(wake.SEND)


def _key(item: Confirmation) -> str:
    return f"outbound:answer:{hashlib.sha256(item.answers.encode()).hexdigest()}"


def _message(item: Confirmation, key: str, now: datetime) -> OutboundMessage:
    return OutboundMessage(
        id=uuid7(),
        org_id=item.number.org_id,
        phone_number=item.number,
        contact_id=item.contact_id,
        to_recipient=item.to,
        kind="text",
        payload={"body": item.text},
        category=OutboundMessage.Category.SERVICE,
        purpose=REPLY,
        priority=OutboundMessage.Priority.HIGH,
        status=Status.QUEUED,
        due_at=now,
        expires_at=now + WORTH_SENDING_FOR,
        max_attempts=len(settings.OUTBOUND_RETRY_SCHEDULE_SECONDS),
        idempotency_key=key,
        request_fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        created_at=now,
        updated_at=now,
    )


def _accepted(message: OutboundMessage, now: datetime) -> Applied:
    change = Change(
        message.pk, Cause.INTAKE, now, Status.QUEUED, kind="accepted", actor="system:consent"
    )
    return Applied(change, message.org_id, None, Status.QUEUED)
