"""Accepting messages: idempotency, consent and window, then one insert for the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Contact
from messaging import transitions, wake, windows
from messaging.models import OutboundMessage, PhoneNumber
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs import database
from orgs.ids import uuid7
from orgs.models import Organization
from orgs.problems import FieldProblem, Problem

MARKETING = "marketing"
TRANSACTIONAL = "transactional"


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """What a client asks for, checked for form but not yet against our records."""

    recipient: Recipient = field(repr=False)
    kind: str
    content: Any = field(repr=False)  # the object, or for contacts the list, under the type's name
    category: str
    fingerprint: str  # of everything asked for, without the idempotency key
    sender: str = ""  # phone_number_id; "" for the organisation's only number
    priority: int = OutboundMessage.Priority.NORMAL
    channel: str = OutboundMessage.Channel.WHATSAPP
    reply_to: str = ""
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    reference: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def purpose(self) -> str:
        """Return the consent it needs; it follows from the category."""
        is_marketing = self.category == OutboundMessage.Category.MARKETING
        return MARKETING if is_marketing else TRANSACTIONAL


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is ours now, or the one an earlier identical request made."""

    message: OutboundMessage
    replayed: bool


Answer = Accepted | Problem


def accept(org: Organization, requests: Sequence[MessageRequest], actor: str) -> list[Answer]:
    """Queue what may be sent; return for each request the message or why not.

    One transaction, with a fixed number of statements. A repeated idempotency key gives the
    message it made the first time, whatever has changed since.
    """
    with transaction.atomic():
        now = database.now()
        answers = _replays(org, requests)
        records = _gather(org, requests, now)
        drafts: dict[int, OutboundMessage] = {}
        for place, request in enumerate(requests):
            if place in answers:
                continue
            judged = _judge(request, records)
            if isinstance(judged, Problem):
                answers[place] = judged
            else:
                drafts[place] = judged
        answers |= _insert(org, requests, drafts, actor)
        if drafts:
            wake.on_commit(wake.SEND)
    return [answers[place] for place in range(len(requests))]


def _replays(org: Organization, requests: Sequence[MessageRequest]) -> dict[int, Answer]:
    keys = {request.idempotency_key for request in requests if request.idempotency_key}
    if not keys:
        return {}
    found = {
        message.idempotency_key: message
        for message in OutboundMessage.objects.of(org).filter(idempotency_key__in=keys)
    }
    return {
        place: _replay(found[request.idempotency_key], request)
        for place, request in enumerate(requests)
        if request.idempotency_key in found
    }


def _replay(message: OutboundMessage, request: MessageRequest) -> Answer:
    if message.request_fingerprint == request.fingerprint:
        return Accepted(message, replayed=True)
    return Problem(
        422,
        "idempotency_conflict",
        "Idempotency key already used",
        "This key made another message. Use a new key for a different request.",
        [FieldProblem("idempotency_key", "conflict", "Used before with another body.")],
    )


@dataclass(frozen=True, slots=True)
class _Records:
    """What we know of the numbers and people of one batch."""

    org: Organization
    numbers: Mapping[str, PhoneNumber]
    people: Mapping[Recipient, Contact]
    consents: Mapping[ledger.Ask, ledger.Answer]
    open_windows: set[windows.Pair]
    now: datetime


def _gather(org: Organization, requests: Sequence[MessageRequest], now: datetime) -> _Records:
    numbers = {
        number.phone_number_id: number
        for number in PhoneNumber.objects.of(org).filter(is_active=True)
    }
    people = contacts.find(org, [request.recipient for request in requests])
    known = [request for request in requests if request.recipient in people]
    asks = [_ask(people[request.recipient], request) for request in known]
    pairs = [
        (number.pk, people[request.recipient].pk)
        for request in known
        if windows.needs_window(request.kind)
        and isinstance(number := _number(request, numbers), PhoneNumber)
    ]
    return _Records(
        org, numbers, people, ledger.check(asks, now), windows.open_pairs(pairs, now), now
    )


def _ask(contact: Contact, request: MessageRequest) -> ledger.Ask:
    return ledger.Ask(contact.pk, request.channel, request.purpose)


def _number(request: MessageRequest, numbers: Mapping[str, PhoneNumber]) -> PhoneNumber | Problem:
    if request.sender:
        number = numbers.get(request.sender)
        return number or _refusal(
            "unknown_number", "from", "This organisation has no active number with that id."
        )
    if len(numbers) == 1:
        return next(iter(numbers.values()))
    if not numbers:
        return _refusal("no_number", "from", "This organisation has no active number yet.")
    return _refusal(
        "number_required", "from", "This organisation has several numbers: say which one sends."
    )


def _judge(request: MessageRequest, records: _Records) -> OutboundMessage | Problem:
    """Return the message to insert, or what stands against it."""
    if request.expires_at is not None and request.expires_at <= records.now:
        return _refusal("expired", "expires_at", "It lies in the past; give a later time.")
    number = _number(request, records.numbers)
    if isinstance(number, Problem):
        return number
    contact = records.people.get(request.recipient)
    answer = records.consents[_ask(contact, request)] if contact else None
    if contact is None or answer is None or not answer.allowed:
        return _no_consent(request, answer.status if answer else ledger.MISSING)
    outside = (number.pk, contact.pk) not in records.open_windows
    if windows.needs_window(request.kind) and outside:
        return _refusal(
            "outside_service_window",
            "type",
            "The person has not written to this number in the last 24 hours: "
            "only a template may be sent.",
        )
    return _message(request, records, number, contact)


def _refusal(code: str, name: str, detail: str) -> Problem:
    return Problem(422, code, "Message refused", detail, [FieldProblem(name, code, detail)])


def _no_consent(request: MessageRequest, status: str) -> Problem:
    found = "No consent found" if status == ledger.MISSING else f"Consent is {status}"
    detail = f"Consent required: {found} for channel {request.channel}"
    title = "Consent required"
    advice = f"Record a consent with purpose {request.purpose} for this person first."
    return Problem(
        422, "consent_required", title, detail, [FieldProblem("to", "consent_required", advice)]
    )


def _message(
    request: MessageRequest, records: _Records, number: PhoneNumber, contact: Contact
) -> OutboundMessage:
    now = records.now
    longest = timedelta(seconds=settings.OUTBOUND_MESSAGE_MAX_AGE_SECONDS)
    template = request.content if request.kind == "template" else {}
    return OutboundMessage(
        id=uuid7(),
        org=records.org,
        phone_number=number,
        contact=contact,
        to_recipient=request.recipient.phone or request.recipient.bsuid or "",
        channel=request.channel,
        kind=request.kind,
        template_name=template.get("name", ""),
        template_language=template.get("language", {}).get("code", ""),
        payload=request.content,
        reply_to=request.reply_to,
        category=request.category,
        purpose=request.purpose,
        priority=request.priority,
        status=Status.QUEUED,
        due_at=now + timedelta(seconds=settings.OUTBOUND_RETRY_SCHEDULE_SECONDS[0]),
        expires_at=request.expires_at or now + longest,
        max_attempts=len(settings.OUTBOUND_RETRY_SCHEDULE_SECONDS),
        idempotency_key=request.idempotency_key,
        request_fingerprint=request.fingerprint,
        reference=request.reference,
        metadata=request.metadata,
        created_at=now,
        updated_at=now,
    )


def _insert(
    org: Organization,
    requests: Sequence[MessageRequest],
    drafts: Mapping[int, OutboundMessage],
    actor: str,
) -> dict[int, Answer]:
    """Insert the drafts; one whose key was taken meanwhile gives the message that took it."""
    if not drafts:
        return {}
    # A second request with the same key waits here for the first to commit, then inserts
    # nothing: one key never makes two messages.
    OutboundMessage.objects.bulk_create(drafts.values(), ignore_conflicts=True)
    keyed = [draft.idempotency_key for draft in drafts.values() if draft.idempotency_key]
    stored = (
        {
            message.idempotency_key: message
            for message in OutboundMessage.objects.of(org).filter(idempotency_key__in=keyed)
        }
        if keyed
        else {}
    )
    answers: dict[int, Answer] = {}
    mine: list[OutboundMessage] = []
    for place, draft in drafts.items():
        winner = stored.get(draft.idempotency_key, draft)
        if winner.pk == draft.pk:
            mine.append(draft)
            answers[place] = Accepted(draft, replayed=False)
        else:
            answers[place] = _replay(winner, requests[place])
    transitions.record_events([_accepted(message, actor) for message in mine], now=database.now())
    return answers


def _accepted(message: OutboundMessage, actor: str) -> Applied:
    change = Change(
        message.pk, Cause.INTAKE, message.created_at, Status.QUEUED, kind="accepted", actor=actor
    )
    return Applied(change, message.org_id, None, Status.QUEUED)
