"""The Celery application: wake-ups and schedules, never the queue itself."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("outbound")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_kwargs: object) -> None:
    """Keep the logging that settings made; connecting is what stops Celery's own."""


@worker_process_init.connect
def publish_measures(**_kwargs: object) -> None:
    """Publish what a process of the prefork pool measures; the ticker sees to the main one."""
    from orgs import measures  # noqa: PLC0415 - needs Django's apps

    measures.start()


# By their paths: the classes need Django's apps, which are not loaded yet.
app.steps["worker"].update({"messaging.ticker:TickerStep", "alerts.ticker:WatchStep"})
