"""Beat with a heartbeat: the scheduler of django-celery-beat, noting each turn it makes."""

from __future__ import annotations

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from messaging import heartbeats


class Scheduler(DatabaseScheduler):
    """Makes a turn every few seconds at least, due tasks or not.

    A scheduled task that notes it would prove beat, broker and a worker together: with workers
    down, beat would seem to be down too.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, then note that beat is at work; return the wait, seconds."""
        wait: float = super().tick(*args, **kwargs)
        heartbeats.note(heartbeats.Kind.BEAT)
        return wait
