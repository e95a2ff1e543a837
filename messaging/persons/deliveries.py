"""The webhooks as received that tell of one person, found range by range."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Max, Min

from messaging.models import OutboundMessage, WebhookDelivery, WebhookEvent

# Deliveries whose bytes are searched by one statement.
RANGE = 2000


@dataclass(frozen=True, slots=True)
class Found:
    """The deliveries of one range that may tell of the person, by id: a body may be large."""

    up_to: int  # the last delivery of the range
    deliveries: Sequence[int]
    positions: Mapping[int, frozenset[int]]  # of events about their messages, by delivery


def latest(before: datetime | None = None) -> int:
    """Return the last delivery of which no earlier one waits to be processed; 0 without any.

    Only of processed ones we know which organisation each event belongs to.
    """
    received = WebhookDelivery.objects.all()
    if before is not None:
        received = received.filter(received_at__lt=before)
    pending = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)
    first: int | None = pending.aggregate(first=Min("pk"))["first"]
    done = received if first is None else received.filter(pk__lt=first)
    found: int | None = done.aggregate(last=Max("pk"))["last"]
    return found or 0


def is_pending(before: datetime) -> bool:
    """Say whether a delivery received before then is yet to be processed."""
    return WebhookDelivery.objects.filter(
        status=WebhookDelivery.Status.PENDING, received_at__lt=before
    ).exists()


def search(
    contact_id: int, names: Sequence[str], after: int, before: datetime | None = None
) -> Found | None:
    """Search the next range for the names and the person's messages; None when all are searched.

    What another organisation was told of the same person is found too: see ``of_others``.
    """
    last = latest(before)
    if after >= last:
        return None
    up_to = min(after + RANGE, last)
    events = WebhookEvent.objects.filter(
        delivery_id__gt=after,
        delivery_id__lte=up_to,
        message_id__in=OutboundMessage.objects.filter(contact_id=contact_id).values("pk"),
    )
    positions: dict[int, set[int]] = {}
    for delivery_id, position in events.values_list("delivery_id", "position"):
        positions.setdefault(delivery_id, set()).add(position)
    return Found(
        up_to,
        sorted(_mentioning(names, after, up_to) | positions.keys()),
        {delivery: frozenset(places) for delivery, places in positions.items()},
    )


def of_own(org_id: int, delivery_id: int) -> frozenset[int]:
    """Return the positions of the events that are known to be of one organisation."""
    events = WebhookEvent.objects.filter(delivery_id=delivery_id, org_id=org_id)
    return frozenset(events.values_list("position", flat=True))


def of_others(org_id: int, delivery_id: int) -> frozenset[int]:
    """Return the positions of the events that belong to other organisations."""
    events = WebhookEvent.objects.filter(delivery_id=delivery_id, org_id__isnull=False)
    return frozenset(events.exclude(org_id=org_id).values_list("position", flat=True))


def forget_ids(delivery_id: int, positions: Collection[int]) -> None:
    """Empty Meta's message ids, in which the phone number is encoded, of these events."""
    WebhookEvent.objects.filter(delivery_id=delivery_id, position__in=positions).update(
        provider_message_id=""
    )


def message_ids(contact_id: int, limit: int) -> list[uuid.UUID]:
    """Return messages of the person that still name them."""
    return list(
        OutboundMessage.objects.filter(contact_id=contact_id)
        .exclude(to_recipient="")
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )


def _mentioning(names: Sequence[str], after: int, up_to: int) -> set[int]:
    """Return the deliveries of the range whose bytes hold one of the names."""
    if not names:
        return set()
    test = (
        "position(%s::bytea in body) > 0"
        if connection.vendor == "postgresql"
        else "instr(body, %s) > 0"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM webhook_delivery WHERE id > %s AND id <= %s "  # noqa: S608 - constants
            f"AND ({' OR '.join([test] * len(names))})",
            [after, up_to, *(name.encode() for name in names)],
        )
        return {row[0] for row in cursor.fetchall()}
