"""Deleting incidents and notices that have been kept long enough."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from alerts.models import Alert, Notice
from orgs import database

KEPT_FOR = timedelta(days=180)
BATCH = 500


@transaction.atomic
def purge() -> int:
    """Delete a batch of what ended long ago; return how much it was."""
    before = database.now() - KEPT_FOR
    alerts = (
        Alert.objects.filter(resolved_at__lt=before).order_by("pk").values_list("pk", flat=True)
    )
    alone = Notice.objects.filter(alert=None, created_at__lt=before).order_by("created_at")
    ended, notices = list(alerts[:BATCH]), list(alone.values_list("pk", flat=True)[:BATCH])
    Notice.objects.filter(pk__in=notices).delete()
    Alert.objects.filter(pk__in=ended).delete()
    return len(ended) + len(notices)
