"""Periodic tasks: the defaults, and what staff do to them.

What somebody edited in the console is left alone when the defaults are seeded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from celery import current_app
from django.conf import settings
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from kombu.exceptions import OperationalError

from orgs import audit


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


@transaction.atomic
def switch(tasks: Iterable[PeriodicTask], *, on: bool, actor: str, reason: str) -> int:
    """Have beat start these tasks from now on, or no longer; return how many that changed."""
    switched = [task for task in tasks if task.enabled != on]
    for task in switched:
        task.enabled = on
        # One by one, so that beat is told; what beat writes meanwhile is left alone.
        task.save(update_fields=["enabled", "last_run_at", "date_changed"])
    changes = {"before": {"enabled": not on}, "after": {"enabled": on}}
    deed = "enabled" if on else "disabled"
    audit.record([_entry(task, deed, actor, reason, **changes) for task in switched])
    return len(switched)


def run_now(task: PeriodicTask, *, actor: str, reason: str) -> bool:
    """Have a worker run it as beat would; say whether the broker took it."""
    try:
        current_app.send_task(
            task.task,
            args=json.loads(task.args or "[]"),
            kwargs=json.loads(task.kwargs or "{}"),
            queue=task.queue or None,
            headers={"periodic_task_name": task.name},
            retry=False,
        )
    except (OperationalError, OSError):
        return False
    audit.record([_entry(task, "run", actor, reason)])
    return True


def _entry(
    task: PeriodicTask, deed: str, actor: str, reason: str, **changes: dict[str, bool]
) -> audit.Entry:
    target = f"periodictask:{task.pk}"
    return audit.Entry(None, actor, f"periodictask.{deed}", target, reason, **changes)


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
