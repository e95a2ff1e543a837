"""How much each number sent, minute by minute: figures over hours without reading messages."""

from __future__ import annotations

from django.db import models

from messaging.models.accounts import PhoneNumber
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class Activity(models.Model):
    """What became of one number's messages in one minute, counted from their timelines.

    A minute in which nothing happened has no row.
    """

    minute = models.DateTimeField(help_text="Its beginning, by when we learned of it.")
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
    )
    phone_number = models.ForeignKey(
        PhoneNumber, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    channel = models.CharField(max_length=16)
    sent = models.PositiveIntegerField(help_text="Taken by the provider.")
    delivered = models.PositiveIntegerField()
    failed = models.PositiveIntegerField(help_text="Without everyday results of campaigns.")
    campaign = models.PositiveIntegerField(help_text="Failed as an everyday result of a campaign.")
    latencies = models.JSONField(
        default=list, help_text="Delivered messages by how long it took: a count for each class."
    )

    objects = TenantQuerySet["Activity"].as_manager()

    class Meta:
        db_table = "outbound_activity"
        verbose_name_plural = "activity"
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "phone_number", "channel"], name="activity_once_per_minute"
            ),
        ]

    def __str__(self) -> str:
        return f"number {self.phone_number_id} at {self.minute:%H:%M}"
