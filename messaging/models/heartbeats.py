"""Which processes are at work: a row for each that says so once in a while."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a process last went round its loop."""

    class Kind(models.TextChoices):
        """What kind of process it is."""

        WORKER = "worker", "Worker"
        BEAT = "beat", "Beat"

    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=80, help_text="Host and process id.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = "process"
        verbose_name_plural = "processes"
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="heartbeat_one_per_process"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
