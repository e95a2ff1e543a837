"""What somebody does to all dead letters that match a filter, and what can still be undone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

from messaging.models.messages import DISCARDED, OutboundMessage
from messaging.states import Cause, Status
from orgs.ids import uuid7
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet

# So long a discard can be undone.
UNDO_FOR = timedelta(days=1)


class BulkOperation(models.Model):
    """One deed to many messages: done in batches by the workers, in the order of the ids."""

    class Kind(models.TextChoices):
        """What is done."""

        REQUEUE = "requeue", "Requeue"
        DISCARD = "discard", "Discard"
        RESTORE = "restore", "Undo of a discard"

    class State(models.TextChoices):
        """How far it has come."""

        RUNNING = "RUNNING", "Running"
        STOPPED = "STOPPED", "Stopped"
        DONE = "DONE", "Done"
        FAILED = "FAILED", "Stopped by an error"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty: messages of all organisations.",
    )
    kind = models.CharField(max_length=16, choices=Kind)
    filter = models.JSONField(default=dict, help_text="What the messages have in common.")
    undoes = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        related_name="undos",
        help_text="The discard whose messages come back.",
    )
    actor = models.CharField(max_length=64)
    cause = models.CharField(max_length=16, choices=Cause)
    reason = models.CharField(max_length=500)
    rate_per_minute = models.PositiveIntegerField(
        null=True, help_text="At most so many are released a minute; empty: as fast as it goes."
    )
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    matched = models.PositiveIntegerField(help_text="Messages that matched when it began.")
    counts = models.JSONField(default=dict, help_text="What became of them.")
    cursor = models.UUIDField(null=True, help_text="The last message that was looked at.")
    next_at = models.DateTimeField(help_text="When the next message may be released.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Batches failed in a row.")
    created_at = models.DateTimeField(help_text="What failed later is left alone.")
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = TenantQuerySet["BulkOperation"].as_manager()

    class Meta:
        verbose_name = "operation"
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(state="RUNNING"), name="idx_bulk_operation_open"
            ),
            models.Index(fields=["org", "-id"], name="idx_bulk_operation_list"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def done(self) -> int:
        """Return how many of the matched messages it has dealt with."""
        counted: int = sum(self.counts.values())
        return min(self.matched, counted)

    @property
    def is_running(self) -> bool:
        """Say whether workers go on with it."""
        return self.state == self.State.RUNNING


class DiscardQuerySet(TenantQuerySet["Discard"]):
    """Questions about discards."""

    def restorable(self, at: datetime) -> Self:
        """Keep what can be restored: not too old, and no status has come for it since."""
        return self.filter(
            discarded_at__gt=at - UNDO_FOR,
            message__status=Status.CANCELLED,
            message__error_code=DISCARDED,
        )


class Discard(models.Model):
    """What a discarded message was, so that it can come back; kept as long as that is possible."""

    message = models.OneToOneField(
        OutboundMessage, on_delete=models.CASCADE, primary_key=True, related_name="discard"
    )
    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    operation = models.ForeignKey(
        BulkOperation, on_delete=models.CASCADE, null=True, related_name="discards", db_index=False
    )
    error_code = models.CharField(max_length=32, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    failed_at = models.DateTimeField()
    actor = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    discarded_at = models.DateTimeField()

    objects = DiscardQuerySet.as_manager()

    class Meta:
        verbose_name = "discarded message"
        indexes = [
            models.Index(fields=["discarded_at"], name="idx_discard_age"),
            models.Index(
                fields=["operation", "message"],
                condition=Q(operation__isnull=False),
                name="idx_discard_operation",
            ),
        ]

    def __str__(self) -> str:
        return f"discard of {self.message_id}"
