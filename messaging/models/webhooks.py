"""What Meta posted, as received, and the single events found in it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q

from messaging.models.accounts import MetaApp
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class DeliveryQuerySet(TenantQuerySet["WebhookDelivery"]):
    """Deliveries; one may tell of several organisations."""

    def of(self, org: Organization) -> Self:
        """Keep those that tell of this organisation alone."""
        return self.of_any([org.pk])

    def of_any(self, org_ids: Collection[int]) -> Self:
        """Keep those that tell of these organisations alone.

        An event nobody could attribute may be anyone's, so its delivery is left out too.
        """
        events = WebhookEvent.objects.filter(delivery=OuterRef("pk"))
        theirs = Q(org__in=org_ids)
        return self.filter(Exists(events.filter(theirs)), ~Exists(events.exclude(theirs)))


class WebhookDelivery(models.Model):
    """One authentic POST, raw bytes; processed later in batches."""

    class Status(models.TextChoices):
        """How far it has come."""

        PENDING = "PENDING", "Waiting"
        DONE = "DONE", "Processed"
        ERROR = "ERROR", "Could not be read"

    # No constraint in the database, as for the organisation of an event: each row would lock the
    # same row of the other table.
    app = models.ForeignKey(
        MetaApp,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    only_org = models.ForeignKey(
        Organization,
        verbose_name="only this organisation",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        help_text="Set when X-Org-Id restricted the payload to one organisation.",
    )
    received_at = models.DateTimeField()
    body = models.BinaryField()
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    processed_at = models.DateTimeField(null=True, blank=True)
    event_count = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        db_table = "webhook_delivery"
        verbose_name_plural = "webhook deliveries"
        permissions = [
            ("view_webhook_body", "Can read the bodies of webhooks (personal data)"),
            ("replay_webhook", "Can have webhooks processed again"),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(status="PENDING"), name="idx_webhook_delivery_pending"
            ),
            models.Index(fields=["received_at"], name="idx_webhook_delivery_received"),
            models.Index(
                fields=["received_at"],
                condition=Q(status="ERROR"),
                name="idx_webhook_delivery_error",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class WebhookEvent(models.Model):
    """One event of a delivery and what came of it."""

    class Result(models.TextChoices):
        """What came of it."""

        APPLIED = "APPLIED", "Applied"
        UNCHANGED = "UNCHANGED", "Changed nothing"
        UNMATCHED = "UNMATCHED", "No message found yet"
        GIVEN_UP = "GIVEN_UP", "No message found in time"
        FOREIGN = "FOREIGN", "Not of this app or organisation"
        KEPT = "KEPT", "Kept, not acted on"
        POISON = "POISON", "Could not be processed"
        ERASED = "ERASED", "About somebody who was erased; emptied"

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="events")
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    topic = models.CharField(max_length=64, help_text="The webhook field, or the status word.")
    result = models.CharField(max_length=16, choices=Result)
    # No foreign key: the event outlives its message, and a check per status would cost more.
    message_id = models.UUIDField(null=True, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    occurred_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    error = models.CharField(max_length=200, blank=True)
    look_again_at = models.DateTimeField(null=True, blank=True)
    position = models.PositiveIntegerField(help_text="Its place in the delivery.")

    objects = TenantQuerySet["WebhookEvent"].as_manager()

    class Meta:
        db_table = "webhook_event"
        indexes = [
            models.Index(
                fields=["look_again_at"],
                condition=Q(look_again_at__isnull=False),
                name="idx_webhook_event_unmatched",
            ),
            models.Index(fields=["message_id"], name="idx_webhook_event_message"),
            models.Index(
                fields=["recorded_at"],
                condition=Q(result="POISON"),
                name="idx_webhook_event_poison",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.result}"
