"""Taking webhooks from the inbox and applying the events in them, in batches."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models.functions import Length

from messaging import channels, events, metrics, traced
from messaging.events import Item, Noted
from messaging.models import WebhookDelivery, WebhookEvent
from messaging.persons import arriving
from messaging.providers.whatsapp import webhook
from orgs import database

logger = logging.getLogger(__name__)

# What one transaction takes: most webhooks carry one status, some a thousand.
MOST_DELIVERIES = 1000
MOST_BYTES = 4 * 1024 * 1024
# Unmatched events looked at in one go, and how long we keep looking.
REMATCH_BATCH = 200
REMATCH_FIRST = timedelta(seconds=30)
REMATCH_FOR = timedelta(days=1)

# Nobody's fault and soon over: everything is tried again as it was.
_DATABASE_AWAY = (OperationalError, InterfaceError)
Result = WebhookEvent.Result

_EVENT_COLUMNS = (
    "delivery_id",
    "org_id",
    "topic",
    "result",
    "message_id",
    "provider_message_id",
    "occurred_at",
    "recorded_at",
    "error",
    "look_again_at",
    "position",
)


@dataclass(slots=True)
class _Read:
    """A delivery and what was read from it."""

    delivery: WebhookDelivery
    items: list[Item]
    error: str = ""


def apply_pending() -> int:
    """Process one batch of waiting deliveries; return how many were taken.

    When the batch fails as a whole its deliveries are taken one by one, and their events one
    by one, so that a poisonous one is marked and stops nobody else.
    """
    # Asked all the time by an idle worker, so without a transaction.
    if not WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING).exists():
        return 0
    try:
        with transaction.atomic():
            return _apply(_lock_pending(MOST_DELIVERIES))
    except _DATABASE_AWAY:
        raise
    except Exception:
        logger.exception("A batch of webhooks failed; taking them one by one")
    taken = 0
    for _ in range(MOST_DELIVERIES):
        with transaction.atomic():
            deliveries = _lock_pending(1)
            if not deliveries:
                break
            taken += _apply_alone(deliveries[0])
    return taken


def rematch() -> int:
    """Look again for the messages of unmatched events; return how many found theirs.

    When a batch fails as a whole its events are taken one by one, as those of new deliveries.
    """
    try:
        with transaction.atomic():
            return _look_again(_lock_unmatched(REMATCH_BATCH))
    except _DATABASE_AWAY:
        raise
    except Exception:
        logger.exception("A batch of unmatched events failed; taking them one by one")
    found = 0
    for _ in range(REMATCH_BATCH):
        with transaction.atomic():
            waiting = _lock_unmatched(1)
            if not waiting:
                break
            found += _look_again_alone(waiting[0])
    return found


def _lock_unmatched(most: int) -> list[WebhookEvent]:
    """Lock the unmatched events whose turn it is, the longest waiting first."""
    return list(
        WebhookEvent.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(result=Result.UNMATCHED, look_again_at__lte=database.now())
        .select_related("delivery__app", "delivery__only_org")
        .order_by("look_again_at")[:most]
    )


def _look_again(waiting: Sequence[WebhookEvent]) -> int:
    now = database.now()
    reads = [_read(delivery) for delivery in {row.delivery for row in waiting}]
    there = {(item.delivery.pk, item.position): item for read in reads for item in read.items}
    sought = [row for row in waiting if (row.delivery_id, row.position) in there]
    items = [there[row.delivery_id, row.position] for row in sought]
    processed = events.process(items, now)
    _empty_erased(items, processed)
    for row, fresh in zip(sought, processed, strict=True):
        _take_over(row, fresh, now)
    for row in waiting:
        if (row.delivery_id, row.position) not in there:  # its delivery was emptied meanwhile
            row.result, row.look_again_at = Result.GIVEN_UP, None
    _settle(waiting)
    return sum(row.result not in {Result.UNMATCHED, Result.GIVEN_UP} for row in waiting)


def _look_again_alone(row: WebhookEvent) -> int:
    try:
        with transaction.atomic():
            return _look_again([row])
    except _DATABASE_AWAY:
        raise
    except Exception as error:
        logger.exception("Poisonous webhook event", extra={"delivery_id": row.delivery_id})
        row.result, row.look_again_at = Result.POISON, None
        row.error = type(error).__name__[:200]
        _settle([row])
        return 0


def _settle(rows: Sequence[WebhookEvent]) -> None:
    """Write what came of looking again, and count what is settled by it."""
    database.update_rows(WebhookEvent, [_again(row) for row in rows])
    for result, count in Counter(row.result for row in rows).items():
        if result != Result.UNMATCHED:  # that was counted when it came
            metrics.webhook_events(result).inc(count)


def _lock_pending(most: int) -> list[WebhookDelivery]:
    """Lock the oldest waiting deliveries and read as many as MOST_BYTES allow, at least one."""
    sizes = (
        WebhookDelivery.objects.select_for_update(skip_locked=True)
        .filter(status=WebhookDelivery.Status.PENDING)
        .order_by("id")
        .values_list("pk", Length("body"))[:most]
    )
    taken: list[int] = []
    room = MOST_BYTES
    for pk, size in sizes:
        room -= size
        if taken and room < 0:
            break
        taken.append(pk)
    if not taken:
        return []
    return list(
        WebhookDelivery.objects.filter(pk__in=taken)
        .select_related("app", "only_org")
        .order_by("pk")
    )


def _apply(deliveries: Sequence[WebhookDelivery]) -> int:
    if not deliveries:
        return 0
    now = database.now()
    reads = [_read(delivery) for delivery in deliveries]
    _finish(reads, events.process([item for read in reads for item in read.items], now), now)
    return len(deliveries)


def _apply_alone(delivery: WebhookDelivery) -> int:
    try:
        with transaction.atomic():
            return _apply_one_by_one(delivery)
    except _DATABASE_AWAY:
        raise
    except Exception as error:
        logger.exception("Poisonous webhook", extra={"delivery_id": delivery.pk})
        _finish([_Read(delivery, [], type(error).__name__[:200])], [], database.now())
        return 1


def _apply_one_by_one(delivery: WebhookDelivery) -> int:
    now = database.now()
    read = _read(delivery)
    rows: list[Noted] = []
    for item in read.items:
        try:
            with transaction.atomic():
                rows += events.process([item], now)
        except _DATABASE_AWAY:
            raise
        except Exception as error:
            logger.exception("Poisonous webhook event", extra={"delivery_id": delivery.pk})
            rows.append(events.poison(item, type(error).__name__, now))
    _finish([read], rows, now)
    return 1


def _read(delivery: WebhookDelivery) -> _Read:
    try:
        found = webhook.parse(bytes(delivery.body), channels.error_table())
    except webhook.WebhookError as error:
        return _Read(delivery, [], str(error)[:200])
    return _Read(
        delivery, [Item(delivery, position, event) for position, event in enumerate(found)]
    )


def _finish(reads: Sequence[_Read], rows: Sequence[Noted], now: datetime) -> None:
    _empty_erased([item for read in reads for item in read.items], rows)
    database.insert_rows(WebhookEvent, [_values(row) for row in rows])
    database.update_rows(
        WebhookDelivery,
        [
            {
                "pk": read.delivery.pk,
                "status": WebhookDelivery.Status.ERROR
                if read.error
                else WebhookDelivery.Status.DONE,
                "processed_at": now,
                "event_count": len(read.items),
                "error": read.error,
            }
            for read in reads
        ],
    )
    _measure(reads, rows, now)


def _measure(reads: Sequence[_Read], rows: Sequence[Noted], now: datetime) -> None:
    for read in reads:
        lag = (now - read.delivery.received_at).total_seconds()
        metrics.WEBHOOK_LAG_SECONDS.observe(max(0.0, lag))
    for result, count in Counter(row.result for row in rows).items():
        metrics.webhook_events(result).inc(count)
    traced.received((read.delivery for read in reads), rows, now)


def _empty_erased(items: Iterable[Item], rows: Iterable[Noted]) -> None:
    """Empty, in the deliveries, the events about people who were erased; both in one order."""
    arriving.empty(
        (item.delivery, item.position, item.event.raw)
        for item, row in zip(items, rows, strict=True)
        if row.result == Result.ERASED
    )


def _values(row: Noted) -> dict[str, object]:
    return {name: getattr(row, name) for name in _EVENT_COLUMNS}


def _take_over(row: WebhookEvent, fresh: Noted, now: datetime) -> None:
    row.result, row.org_id, row.message_id = fresh.result, fresh.org_id, fresh.message_id
    row.provider_message_id = fresh.provider_message_id
    if fresh.result != Result.UNMATCHED:
        row.look_again_at = None
        return
    age = now - row.recorded_at
    if age > REMATCH_FOR:
        row.result, row.look_again_at = Result.GIVEN_UP, None
    else:
        row.look_again_at = now + max(REMATCH_FIRST, age)  # the waits double


def _again(row: WebhookEvent) -> dict[str, object]:
    return {
        "pk": row.pk,
        "result": row.result,
        "org_id": row.org_id,
        "message_id": row.message_id,
        "provider_message_id": row.provider_message_id,
        "look_again_at": row.look_again_at,
        "error": row.error,
    }
