"""From provider events to their effects: route each to its organisation and apply it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from consent.contacts import Recipient
from messaging import moves, names, notices, opt_outs, statuses, troubles, windows
from messaging import received as received_messages
from messaging.models import BusinessAccount, PhoneNumber, WebhookDelivery, WebhookEvent
from messaging.owners import Owners
from messaging.providers.base import (
    Event,
    Inbound,
    Notice,
    NumberError,
    Preference,
    Receipt,
    Unhandled,
)
from messaging.troubles import Reported
from orgs.models import Organization

Result = WebhookEvent.Result

_LOOK_AGAIN_FIRST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Item:
    """One event and its place in the delivery it came with."""

    delivery: WebhookDelivery
    position: int
    event: Event


@dataclass(slots=True)
class Noted:
    """A row of WebhookEvent before it is written; far cheaper to make than a model instance."""

    delivery_id: int
    position: int
    org_id: int | None
    recorded_at: datetime
    topic: str = ""
    result: str = Result.FOREIGN
    message_id: uuid.UUID | None = None
    provider_message_id: str = ""
    occurred_at: datetime | None = None
    error: str = ""
    look_again_at: datetime | None = None


@dataclass(slots=True)
class _Sorted:
    """The events of a batch by what is done with them."""

    notices: list[tuple[Noted, Notice, BusinessAccount]] = field(default_factory=list)
    receipts: list[tuple[Noted, Receipt, PhoneNumber]] = field(default_factory=list)
    inbound: list[tuple[Noted, Inbound, PhoneNumber]] = field(default_factory=list)
    preferences: list[tuple[Noted, Preference, Organization]] = field(default_factory=list)
    errors: list[tuple[Noted, Reported]] = field(default_factory=list)


def process(items: Sequence[Item], now: datetime) -> list[Noted]:
    """Apply the events; return a row for each that says what came of it."""
    owners = Owners([(item.delivery, item.event) for item in items])
    found = _Sorted()
    rows: list[Noted] = []
    for item in items:
        org = owners.org((item.delivery, item.event))
        row = _row(item, org.pk if org is not None else None, now)
        rows.append(row)
        _sort(item, row, owners, found)
    _take_notices(found.notices, now)  # accounts are locked before messages
    # Messages are locked before consents are written, as everywhere.
    _take_receipts(found.receipts, now)
    _take_inbound(found.inbound, now)
    _take_preferences(found.preferences, now)
    _take_errors(found.errors, now)
    return rows


def _sort(item: Item, row: Noted, owners: Owners, found: _Sorted) -> None:
    """Put an event where it belongs, or say at once what comes of it."""
    event, told = item.event, (item.delivery, item.event)
    if isinstance(event, Unhandled):
        row.result, row.error = _unhandled(event), event.error[:200]
    elif isinstance(event, Notice):
        if account := owners.account(told):
            found.notices.append((row, event, account))
    elif isinstance(event, Preference):
        if org := owners.org(told):
            found.preferences.append((row, event, org))
    elif number := owners.number(told):
        _sort_of_number(item, row, number, found)
    elif row.org_id is not None:
        row.result, row.error = Result.KEPT, "It names no phone number."


def _sort_of_number(item: Item, row: Noted, number: PhoneNumber, found: _Sorted) -> None:
    event = item.event
    if isinstance(event, NumberError):
        found.errors.append((row, Reported(event, number, item.delivery.received_at)))
    elif isinstance(event, Inbound):
        found.inbound.append((row, event, number))
    elif isinstance(event, Receipt):
        found.receipts.append((row, event, number))


def _unhandled(event: Unhandled) -> Result:
    if event.is_erased:
        return Result.ERASED
    return Result.POISON if event.error else Result.KEPT


def poison(item: Item, error: str, now: datetime) -> Noted:
    """Return the row of an event that could not be processed."""
    row = _row(item, None, now)
    row.result = Result.POISON
    row.error = error[:200]
    return row


def _row(item: Item, org_id: int | None, now: datetime) -> Noted:
    event = item.event
    row = Noted(item.delivery.pk, item.position, org_id, now)
    if isinstance(event, Unhandled):
        row.topic = event.topic[:64]
        return row
    if isinstance(event, NumberError):
        row.topic, row.error = f"error {event.error_code}"[:64], event.error_message[:200]
        return row
    row.occurred_at = event.at
    if isinstance(event, Notice):
        row.topic = event.topic[:64]
        return row
    if isinstance(event, Preference):
        row.topic = f"preference {event.value}"[:64]
        return row
    row.topic = (event.status if isinstance(event, Receipt) else f"message {event.kind}")[:64]
    row.provider_message_id = event.provider_message_id[:255]
    return row


def _take_notices(received: Sequence[tuple[Noted, Notice, BusinessAccount]], now: datetime) -> None:
    new = notices.apply([(notice, account) for _row, notice, account in received], now)
    for (row, notice, _account), is_new in zip(received, new, strict=True):
        row.result = Result.APPLIED if is_new else Result.UNCHANGED
        if not notice.is_known:
            row.result = Result.KEPT


def _take_receipts(received: Sequence[tuple[Noted, Receipt, PhoneNumber]], now: datetime) -> None:
    outcomes = statuses.apply([(receipt, number) for _row, receipt, number in received], now)
    for (row, _receipt, _number), outcome in zip(received, outcomes, strict=True):
        row.result = outcome.result
        row.message_id = outcome.message_id
        if outcome.result == Result.UNMATCHED:
            row.look_again_at = now + _LOOK_AGAIN_FIRST
        elif outcome.result == Result.ERASED:
            row.provider_message_id = ""
    names.learn_from_statuses(
        [
            (receipt, number, outcome.contact_id)
            for (_row, receipt, number), outcome in zip(received, outcomes, strict=True)
            if outcome.contact_id is not None
        ],
        now,
    )
    opt_outs.hear_refusals(
        [
            opt_outs.Refused(
                outcome.message_id, receipt.at, receipt.error_code, receipt.provider_message_id
            )
            for (_row, receipt, _number), outcome in zip(received, outcomes, strict=True)
            if outcome.message_id is not None and opt_outs.is_opt_out(receipt)
        ]
    )


def _take_errors(received: Sequence[tuple[Noted, Reported]], now: datetime) -> None:
    acted = troubles.take([told for _row, told in received], now)
    for (row, _told), acts in zip(received, acted, strict=True):
        row.result = Result.APPLIED if acts else Result.KEPT


def _take_preferences(
    received: Sequence[tuple[Noted, Preference, Organization]], now: datetime
) -> None:
    names.learn(
        [(_person(preference), org) for _row, preference, org in received],
        now,
    )
    understood = opt_outs.hear_preferences(
        [(preference, org) for _row, preference, org in received], now
    )
    for (row, _preference, _org), known in zip(received, understood, strict=True):
        row.result = Result.APPLIED if known else Result.KEPT


def _person(told: Inbound | Preference) -> Recipient:
    return Recipient(told.phone or None, told.bsuid or None)


def _take_inbound(received: Sequence[tuple[Noted, Inbound, PhoneNumber]], now: datetime) -> None:
    named = [
        (inbound, number) for _row, inbound, number in received if inbound.phone or inbound.bsuid
    ]
    moves.follow(named, now)  # before anybody is looked up by a name they have left
    opening = [(inbound, number) for inbound, number in named if windows.opens(inbound)]
    by_people = [item for item in named if received_messages.is_written(item[0])]
    names.learn([(_person(inbound), number.org) for inbound, number in by_people], now)
    written = received_messages.with_contacts(by_people)
    received_messages.keep(written, now)
    windows.refresh([item for item in written if windows.opens(item[0])])
    opt_outs.hear_inbound(opening, now)
    for row, inbound, _number in received:
        row.result = Result.APPLIED if windows.opens(inbound) else Result.KEPT
