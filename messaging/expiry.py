"""Withdrawing queued messages whose expiry has passed, also while their number is on hold."""

from __future__ import annotations

from django.db import transaction

from messaging import transitions
from messaging.claims import expire
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs import database

BATCH = 500


def cancel_expired() -> int:
    """Cancel one batch of expired messages; return how many."""
    with transaction.atomic():
        now = database.now()
        ids = list(
            OutboundMessage.objects.select_for_update(skip_locked=True)
            .filter(status=Status.QUEUED, expires_at__lte=now)
            .order_by("expires_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        rows = transitions.lock(ids)
        changes = [expire(pk, now) for pk in rows if rows[pk].status == Status.QUEUED]
        transitions.apply(rows, changes, now=now)
    return len(changes)
