"""From provider events to their effects: route each to its organisation and apply it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consent.contacts import Recipient
from messaging import moves, names, notices, opt_outs, statuses, troubles, windows
from messaging import received as received_messages
from messaging.models import BusinessAccount, PhoneNumber, WebhookDelivery, WebhookEvent
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
    result: str = ""  # WebhookEvent.Result
    message_id: uuid.UUID | None = None
    provider_message_id: str = ""
    occurred_at: datetime | None = None
    error: str = ""
    look_again_at: datetime | None = None


def process(items: Sequence[Item], now: datetime) -> list[Noted]:
    """Apply the events; return a row for each that says what came of it."""
    numbers, accounts = _numbers(items), _accounts(items)
    rows: list[Noted] = []
    receipts: list[tuple[Noted, Receipt, PhoneNumber]] = []
    inbound: list[tuple[Noted, Inbound, PhoneNumber]] = []
    errors: list[tuple[Noted, Reported]] = []
    told: list[tuple[Noted, Notice, BusinessAccount]] = []
    preferences: list[tuple[Noted, Preference, PhoneNumber]] = []
    for item in items:
        event = item.event
        number = numbers.get(event.phone_number_id)
        row = _row(item, number, now)
        rows.append(row)
        if isinstance(event, Unhandled):
            row.result = _unhandled(event)
            row.error = event.error[:200]
        elif isinstance(event, Notice):
            account = accounts.get(event.account_id)
            if account is None or not _may_speak_for(item.delivery, account, account):
                row.result = Result.FOREIGN
            else:
                row.org_id = account.org_id
                told.append((row, event, account))
        elif number is None or not _may_speak_for(item.delivery, number.account, number):
            row.org_id = None
            row.result = Result.FOREIGN
        elif isinstance(event, NumberError):
            errors.append((row, Reported(event, number, item.delivery.received_at)))
        elif isinstance(event, Inbound):
            inbound.append((row, event, number))
        elif isinstance(event, Preference):
            preferences.append((row, event, number))
        else:
            receipts.append((row, event, number))
    _take_notices(told, now)  # accounts are locked before messages
    # Messages are locked before consents are written, as everywhere.
    _take_receipts(receipts, now)
    _take_inbound(inbound, now)
    _take_preferences(preferences, now)
    _take_errors(errors, now)
    return rows


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


def _numbers(items: Iterable[Item]) -> dict[str, PhoneNumber]:
    found = PhoneNumber.objects.filter(
        phone_number_id__in={item.event.phone_number_id for item in items}
    ).select_related("account__app", "org")
    return {number.phone_number_id: number for number in found}


def _accounts(items: Iterable[Item]) -> dict[str, BusinessAccount]:
    """Return the accounts that notices are about; there seldom are any."""
    ids = {item.event.account_id for item in items if isinstance(item.event, Notice)}
    found = BusinessAccount.objects.filter(waba_id__in=ids) if ids else []
    return {account.waba_id: account for account in found}


def _may_speak_for(
    delivery: WebhookDelivery, account: BusinessAccount, owned: BusinessAccount | PhoneNumber
) -> bool:
    """Say whether the app that signed, and X-Org-Id if given, may speak for what is owned."""
    return account.app_id == delivery.app_id and delivery.only_org_id in {None, owned.org_id}


def _row(item: Item, number: PhoneNumber | None, now: datetime) -> Noted:
    event = item.event
    row = Noted(item.delivery.pk, item.position, number.org_id if number else None, now)
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
    for (row, _notice, _account), is_new in zip(received, new, strict=True):
        row.result = Result.APPLIED if is_new else Result.UNCHANGED


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
    received: Sequence[tuple[Noted, Preference, PhoneNumber]], now: datetime
) -> None:
    names.learn(
        [(_person(preference), number) for _row, preference, number in received],
        now,
    )
    understood = opt_outs.hear_preferences(
        [(preference, number) for _row, preference, number in received], now
    )
    for (row, _preference, _number), known in zip(received, understood, strict=True):
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
    names.learn([(_person(inbound), number) for inbound, number in by_people], now)
    written = received_messages.with_contacts(by_people)
    received_messages.keep(written, now)
    windows.refresh([item for item in written if windows.opens(item[0])])
    opt_outs.hear_inbound(opening, now)
    for row, inbound, _number in received:
        row.result = Result.APPLIED if windows.opens(inbound) else Result.KEPT
