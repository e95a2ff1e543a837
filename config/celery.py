"""The Celery application: wake-ups and schedules, never the queue itself."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("outbound")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_kwargs: object) -> None:
    """Keep the logging that settings made; connecting is what stops Celery's own."""


# By their paths: the classes need Django's apps, which are not loaded yet.
app.steps["worker"].update({"messaging.ticker:TickerStep", "alerts.ticker:WatchStep"})
