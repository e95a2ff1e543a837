"""Seeding the default schedules; what somebody edited in the console is left alone."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask


@transaction.atomic
def seed() -> list[str]:
    """Create the periodic tasks that do not exist yet; return their names."""
    created_names = []
    for entry in settings.OUTBOUND_SCHEDULE:
        _, created = PeriodicTask.objects.get_or_create(
            name=entry.name,
            defaults={
                "task": entry.task,
                **_period(entry.every_seconds, entry.at_hour),
                "description": entry.why,
                # A tick nobody took before the next one is due is of no use.
                "expire_seconds": entry.every_seconds,
            },
        )
        if created:
            created_names.append(entry.name)
    return created_names


def _period(
    every_seconds: int, at_hour: int | None
) -> dict[str, IntervalSchedule | CrontabSchedule]:
    if at_hour is not None:
        daily, _ = CrontabSchedule.objects.get_or_create(
            minute="0",
            hour=str(at_hour),
            day_of_week="*",
            day_of_month="*",
            month_of_year="*",
            timezone="UTC",
        )
        return {"crontab": daily}
    interval, _ = IntervalSchedule.objects.get_or_create(
        every=every_seconds, period=IntervalSchedule.SECONDS
    )
    return {"interval": interval}
