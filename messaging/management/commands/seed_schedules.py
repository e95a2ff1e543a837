"""Create the default periodic tasks that do not exist yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from messaging import schedules


class Command(BaseCommand):
    """Run after migrate; edited schedules are never overwritten."""

    help = "Create the default periodic tasks that do not exist yet."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Seed and say what was new."""
        names = schedules.seed()
        self.stdout.write(f"{len(names)} schedule(s) created.")
