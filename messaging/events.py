"""From provider events to their effects: route each to its organisation and apply it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from messaging import statuses, windows
from messaging.models import PhoneNumber, WebhookDelivery, WebhookEvent
from messaging.providers.base import Event, Inbound, Receipt, Unhandled

Result = WebhookEvent.Result

_LOOK_AGAIN_FIRST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Item:
    """One event and its place in the delivery it came with."""

    delivery: WebhookDelivery
    position: int
    event: Event


def process(items: Sequence[Item], now: datetime) -> list[WebhookEvent]:
    """Apply the events; return a row for each that says what came of it."""
    numbers = _numbers(items)
    rows: list[WebhookEvent] = []
    receipts: list[tuple[WebhookEvent, Receipt, PhoneNumber]] = []
    inbound: list[tuple[WebhookEvent, Inbound, PhoneNumber]] = []
    for item in items:
        event = item.event
        number = numbers.get(event.phone_number_id)
        row = _row(item, number, now)
        rows.append(row)
        if isinstance(event, Unhandled):
            row.result = Result.POISON if event.error else Result.KEPT
            row.error = event.error[:200]
        elif number is None or not _belongs(item.delivery, number):
            row.org = None
            row.result = Result.FOREIGN
        elif isinstance(event, Inbound):
            inbound.append((row, event, number))
        else:
            receipts.append((row, event, number))
    _take_inbound(inbound)
    _take_receipts(receipts, now)
    return rows


def poison(item: Item, error: str, now: datetime) -> WebhookEvent:
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


def _belongs(delivery: WebhookDelivery, number: PhoneNumber) -> bool:
    """Say whether the app that signed, and X-Org-Id if given, may speak for the number."""
    if number.account.app_id != delivery.app_id:
        return False
    return delivery.only_org_id in {None, number.org_id}


def _row(item: Item, number: PhoneNumber | None, now: datetime) -> WebhookEvent:
    event = item.event
    row = WebhookEvent(
        delivery=item.delivery,
        position=item.position,
        org=number.org if number else None,
        recorded_at=now,
    )
    if isinstance(event, Unhandled):
        row.topic = event.topic[:64]
        return row
    row.topic = (event.status if isinstance(event, Receipt) else f"message {event.kind}")[:64]
    row.provider_message_id = event.provider_message_id[:255]
    row.occurred_at = event.at
    return row


def _take_receipts(
    received: Sequence[tuple[WebhookEvent, Receipt, PhoneNumber]], now: datetime
) -> None:
    outcomes = statuses.apply([(receipt, number) for _row, receipt, number in received], now)
    for (row, _receipt, _number), outcome in zip(received, outcomes, strict=True):
        row.result = outcome.result
        row.message_id = outcome.message_id
        if outcome.result == Result.UNMATCHED:
            row.look_again_at = now + _LOOK_AGAIN_FIRST


def _take_inbound(received: Sequence[tuple[WebhookEvent, Inbound, PhoneNumber]]) -> None:
    opening = [(inbound, number) for _row, inbound, number in received if windows.opens(inbound)]
    windows.refresh(opening)
    for row, inbound, _number in received:
        row.result = Result.APPLIED if windows.opens(inbound) else Result.KEPT
