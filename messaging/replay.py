"""Having stored webhooks processed again: harmless, because their effects converge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from messaging import wake
from messaging.models import WebhookDelivery, WebhookEvent
from orgs import database

BATCH = 500
_WAITING = {
    "status": WebhookDelivery.Status.PENDING,
    "processed_at": None,
    "event_count": 0,
    "error": "",
}


def received_since(moment: datetime) -> QuerySet[WebhookDelivery]:
    """Return what came in at or after the moment and is still kept."""
    return WebhookDelivery.objects.filter(received_at__gte=moment)


def process_again(
    deliveries: QuerySet[WebhookDelivery], progress: Callable[[int], object] = lambda _count: None
) -> int:
    """Put processed deliveries back into the inbox, oldest first; return how many.

    What was noted about their events is forgotten: the workers note it anew. Works in batches
    of their own transactions and tells ``progress`` how many each had. One that still waits, or
    came after the call, is left alone.
    """
    done, last = 0, 0
    end = WebhookDelivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    while ids := _next(deliveries, last, end):
        with transaction.atomic():
            processed = WebhookDelivery.objects.select_for_update(skip_locked=True).filter(
                pk__in=ids
            )
            finished = list(
                processed.exclude(status=WebhookDelivery.Status.PENDING).values_list(
                    "pk", flat=True
                )
            )
            WebhookEvent.objects.filter(delivery_id__in=finished).delete()
            database.update_rows(WebhookDelivery, [{"pk": pk, **_WAITING} for pk in finished])
            wake.on_commit(wake.RECEIPTS)
        done += len(finished)
        last = ids[-1]
        progress(len(finished))
    return done


def _next(deliveries: QuerySet[WebhookDelivery], last: int, end: int) -> list[int]:
    # A filter by the results of events names a delivery once for each of them.
    wanted = deliveries.filter(pk__gt=last, pk__lte=end).order_by("pk")
    return list(wanted.values_list("pk", flat=True).distinct()[:BATCH])
