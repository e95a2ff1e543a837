"""Deleting what has been kept long enough, in batches small enough to stall nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from messaging import stock
from messaging.models import (
    BulkOperation,
    Discard,
    InboundMessage,
    OutboundMessage,
    ProviderNotice,
    WebhookDelivery,
)
from messaging.models.bulk import UNDO_FOR
from messaging.states import Status
from orgs import database, tallies
from orgs.append_only import deletion_allowed
from orgs.ids import first_uuid7

BATCH = 500
_UNFINISHED = (Status.QUEUED, Status.SENDING)


def purge_messages() -> int:
    """Delete one batch of finished messages past their retention; return how many.

    Attempts and timeline go with them. Age counts from acceptance, which the ids tell.
    """
    cutoff = _cutoff(settings.OUTBOUND_MESSAGE_RETENTION_DAYS)
    if cutoff is None:
        return 0
    with deletion_allowed():
        rows = list(
            OutboundMessage.objects.select_for_update(skip_locked=True)
            .filter(pk__lt=first_uuid7(cutoff), created_at__lt=cutoff)
            .exclude(status__in=_UNFINISHED)
            .order_by("pk")
            .values_list("pk", "channel", "status", "error_code")[:BATCH]
        )
        OutboundMessage.objects.filter(pk__in=[pk for pk, *_rest in rows]).delete()
        tallies.add(stock.discard_lines(rows))
    return len(rows)


def purge_webhooks() -> int:
    """Delete one batch of processed webhooks past their retention; return how many."""
    cutoff = _cutoff(settings.OUTBOUND_WEBHOOK_RETENTION_DAYS)
    if cutoff is None:
        return 0
    with deletion_allowed():
        ids = list(
            WebhookDelivery.objects.select_for_update(skip_locked=True)
            .filter(received_at__lt=cutoff)
            .exclude(status=WebhookDelivery.Status.PENDING)
            .order_by("received_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        WebhookDelivery.objects.filter(pk__in=ids).delete()
    return len(ids)


def purge_inbound() -> int:
    """Delete one batch of what people wrote past its retention; return how many."""
    cutoff = _cutoff(settings.OUTBOUND_MESSAGE_RETENTION_DAYS)
    if cutoff is None:
        return 0
    with transaction.atomic():
        ids = _oldest(InboundMessage.objects.filter(received_at__lt=cutoff))
        InboundMessage.objects.filter(pk__in=ids).delete()
    return len(ids)


def purge_inbound_texts() -> int:
    """Empty one batch of texts past ``OUTBOUND_INBOUND_TEXT_DAYS``; return how many."""
    cutoff = database.now() - timedelta(days=settings.OUTBOUND_INBOUND_TEXT_DAYS)
    with transaction.atomic():
        ids = _oldest(InboundMessage.objects.filter(received_at__lt=cutoff).exclude(text=""))
        return InboundMessage.objects.filter(pk__in=ids).update(text="")


def purge_discards() -> int:
    """Forget one batch of discards that can no longer be undone; return how many."""
    with transaction.atomic():
        ids = list(
            Discard.objects.select_for_update(skip_locked=True)
            .filter(discarded_at__lt=database.now() - UNDO_FOR)
            .order_by("discarded_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        Discard.objects.filter(pk__in=ids).delete()
    return len(ids)


def purge_operations() -> int:
    """Delete one batch of ended bulk operations, kept as long as messages; return how many."""
    cutoff = _cutoff(settings.OUTBOUND_MESSAGE_RETENTION_DAYS)
    if cutoff is None:
        return 0
    with transaction.atomic():
        ids = list(
            BulkOperation.objects.select_for_update(skip_locked=True)
            .filter(pk__lt=first_uuid7(cutoff), updated_at__lt=cutoff)
            .exclude(state=BulkOperation.State.RUNNING)
            .order_by("pk")
            .values_list("pk", flat=True)[:BATCH]
        )
        BulkOperation.objects.filter(pk__in=ids).delete()
    return len(ids)


def purge_notices() -> int:
    """Delete one batch of what the provider told of accounts, kept as long as messages."""
    cutoff = _cutoff(settings.OUTBOUND_MESSAGE_RETENTION_DAYS)
    if cutoff is None:
        return 0
    with transaction.atomic():
        ids = list(
            ProviderNotice.objects.select_for_update(skip_locked=True)
            .filter(recorded_at__lt=cutoff)
            .order_by("recorded_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        ProviderNotice.objects.filter(pk__in=ids).delete()
    return len(ids)


def _oldest(rows: QuerySet[InboundMessage]) -> list[int]:
    locked = rows.select_for_update(skip_locked=True).order_by("received_at")
    return list(locked.values_list("pk", flat=True)[:BATCH])


def _cutoff(days: int) -> datetime | None:
    """Return the time before which rows may go; None when they stay for ever."""
    return database.now() - timedelta(days=days) if days else None
