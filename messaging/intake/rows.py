"""Accepting by separate queries, for SQLite, where a statement costs no journey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Contact
from messaging import counting, transitions, windows
from messaging.intake.refusals import refusal
from messaging.intake.requests import Facts, Finding, MessageRequest, message_of
from messaging.models import OutboundMessage, PhoneNumber
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs import database
from orgs.ids import uuid7
from orgs.models import Organization


def insert(org: Organization, requests: Sequence[MessageRequest], actor: str) -> list[Finding]:
    """Insert what nothing stands against; needs a transaction in which nobody else writes."""
    records = _gather(org, requests)
    findings = [_look(org, request, records) for request in requests]
    fresh = [item.message for item in findings if item.message is not None]
    OutboundMessage.objects.bulk_create(fresh)
    events = [_accepted(message, actor) for message in fresh]
    transitions.record_events(events, now=records.at.now)
    counting.accepted(message.channel for message in fresh)
    return findings


@dataclass(frozen=True, slots=True)
class _Records:
    """What we know of the numbers, people and keys of one batch."""

    at: Facts  # the moment and the count of numbers; nothing about a request
    taken: set[str | None]
    numbers: Mapping[str, PhoneNumber]
    people: Mapping[Recipient, Contact]
    consents: Mapping[ledger.Ask, ledger.Answer]
    open_windows: set[windows.Pair]


def _gather(org: Organization, requests: Sequence[MessageRequest]) -> _Records:
    now = database.now()
    keys = {request.idempotency_key for request in requests if request.idempotency_key}
    taken = OutboundMessage.objects.of(org).filter(idempotency_key__in=keys)
    numbers = {
        number.phone_number_id: number
        for number in PhoneNumber.objects.of(org).filter(is_active=True)
    }
    people = contacts.find(org, [request.recipient for request in requests])
    known = [request for request in requests if request.recipient in people]
    pairs = [
        (number.pk, people[request.recipient].pk)
        for request in known
        if (number := _number(request, numbers)) is not None
    ]
    return _Records(
        Facts(now, len(numbers), None, None, ledger.MISSING, window_open=False, is_suspect=False),
        set(taken.values_list("idempotency_key", flat=True)),
        numbers,
        people,
        ledger.check([_ask(people[request.recipient], request) for request in known], now),
        windows.open_pairs(pairs, now),
    )


def _ask(contact: Contact, request: MessageRequest) -> ledger.Ask:
    return ledger.Ask(contact.pk, request.channel, request.purpose)


def _number(request: MessageRequest, numbers: Mapping[str, PhoneNumber]) -> PhoneNumber | None:
    if request.sender or len(numbers) != 1:
        return numbers.get(request.sender)
    return next(iter(numbers.values()))


def _look(org: Organization, request: MessageRequest, records: _Records) -> Finding:
    number = _number(request, records.numbers)
    contact = records.people.get(request.recipient)
    facts = Facts(
        now=records.at.now,
        senders=records.at.senders,
        number=number,
        contact_id=contact.pk if contact else None,
        consent=records.consents[_ask(contact, request)].status if contact else ledger.MISSING,
        window_open=bool(number and contact and (number.pk, contact.pk) in records.open_windows),
        is_suspect=bool(contact and contact.suspect_at),
    )
    if request.idempotency_key in records.taken:
        return Finding(facts, taken=True)
    if refusal(request, facts) is not None:
        return Finding(facts)
    return Finding(facts, message_of(org, request, facts, uuid7()))


def _accepted(message: OutboundMessage, actor: str) -> Applied:
    change = Change(
        message.pk, Cause.INTAKE, message.created_at, Status.QUEUED, kind="accepted", actor=actor
    )
    return Applied(change, message.org_id, None, Status.QUEUED)
