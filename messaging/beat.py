"""Beat with a heartbeat: the scheduler of django-celery-beat, noting each turn it makes."""

from __future__ import annotations

from time import monotonic
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from messaging import heartbeats

# What staff have edited is looked for this often, seconds; beat makes a turn for each due task.
EDITS_EVERY = 5.0


class Scheduler(DatabaseScheduler):
    """Makes a turn every few seconds at least, due tasks or not.

    A scheduled task that notes it would prove beat, broker and a worker together: with workers
    down, beat would seem to be down too.
    """

    _look_at = 0.0

    def schedule_changed(self) -> bool:
        """Say whether the schedule was edited, as far as it was looked for."""
        if monotonic() < self._look_at:
            return False
        self._look_at = monotonic() + min(EDITS_EVERY, self.max_interval)
        return bool(super().schedule_changed())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, then note that beat is at work; return the wait, seconds."""
        wait: float = super().tick(*args, **kwargs)
        heartbeats.note(heartbeats.Kind.BEAT)
        return wait
