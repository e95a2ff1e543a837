"""Having stored webhooks processed again: harmless, because their effects converge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from messaging import wake
from messaging.models import WebhookDelivery, WebhookEvent
from orgs import audit, database

BATCH = 500
_WAITING = {
    "status": WebhookDelivery.Status.PENDING,
    "processed_at": None,
    "event_count": 0,
    "error": "",
}


def process_again(
    deliveries: QuerySet[WebhookDelivery],
    *,
    actor: str,
    reason: str,
    most: int | None = None,
    progress: Callable[[int], object] = lambda _count: None,
) -> int:
    """Put processed deliveries back into the inbox, oldest first; return how many.

    What was noted about their events is forgotten: the workers note it anew. Works in batches,
    each audited in its own transaction, and tells ``progress`` how many each had; ``most``
    bounds how many are looked at. One that still waits, or came after the call, is left alone.
    """
    done, looked_at, last = 0, 0, 0
    end = WebhookDelivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    while most is None or looked_at < most:
        size = BATCH if most is None else min(BATCH, most - looked_at)
        ids = _next(deliveries, last, end, size)
        if not ids:
            break
        count = _put_back(ids, actor, reason)
        done, looked_at, last = done + count, looked_at + len(ids), ids[-1]
        progress(count)
    return done


@transaction.atomic
def _put_back(ids: Sequence[int], actor: str, reason: str) -> int:
    finished = list(
        WebhookDelivery.objects.select_for_update(skip_locked=True)
        .filter(pk__in=ids)
        .exclude(status=WebhookDelivery.Status.PENDING)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    if not finished:
        return 0
    WebhookEvent.objects.filter(delivery_id__in=finished).delete()
    database.update_rows(WebhookDelivery, [{"pk": pk, **_WAITING} for pk in finished])
    after = {"count": len(finished), "first": finished[0], "last": finished[-1]}
    audit.record(
        [audit.Entry(None, actor, "webhooks.replayed", "webhook_delivery", reason, after=after)]
    )
    wake.on_commit(wake.RECEIPTS)
    return len(finished)


def _next(deliveries: QuerySet[WebhookDelivery], last: int, end: int, most: int) -> list[int]:
    # A filter by the results of events names a delivery once for each of them.
    wanted = deliveries.filter(pk__gt=last, pk__lte=end).order_by("pk")
    return list(wanted.values_list("pk", flat=True).distinct()[:most])
