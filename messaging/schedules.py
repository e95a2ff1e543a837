"""Seeding the default schedules; what somebody edited in the console is left alone."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask


@transaction.atomic
def seed() -> list[str]:
    """Create the periodic tasks that do not exist yet; return their names."""
    created_names = []
    for entry in settings.OUTBOUND_SCHEDULE:
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=entry.every_seconds, period=IntervalSchedule.SECONDS
        )
        _, created = PeriodicTask.objects.get_or_create(
            name=entry.name,
            defaults={
                "task": entry.task,
                "interval": interval,
                "description": entry.why,
                # A tick nobody took before the next one is due is of no use.
                "expire_seconds": entry.every_seconds,
            },
        )
        if created:
            created_names.append(entry.name)
    return created_names
