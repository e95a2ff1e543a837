"""The message templates of a WhatsApp account, as Meta last told."""

from __future__ import annotations

import enum

from django.db import models

from messaging.models.accounts import BusinessAccount
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet

MARKETING = "MARKETING"  # Meta's word for the category that needs a consent of its own


class Sendable(enum.Enum):
    """What becomes of messages that use a template."""

    YES = "yes"
    LATER = "later"  # queued ones wait; Meta is expected to let them go
    NEVER = "never"  # queued ones fail


class MessageTemplate(models.Model):
    """One template in one language; Meta is its owner, this is a copy."""

    class Status(models.TextChoices):
        """Meta's words; others are kept as they come."""

        APPROVED = "APPROVED", "Approved"
        PENDING = "PENDING", "In review"
        IN_APPEAL = "IN_APPEAL", "In appeal"
        PAUSED = "PAUSED", "Paused"
        REJECTED = "REJECTED", "Rejected"
        DISABLED = "DISABLED", "Disabled"
        PENDING_DELETION = "PENDING_DELETION", "Being deleted"
        DELETED = "DELETED", "Deleted"
        LIMIT_EXCEEDED = "LIMIT_EXCEEDED", "Over the limit"
        ARCHIVED = "ARCHIVED", "Archived"
        LOCKED = "LOCKED", "Locked"

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    account = models.ForeignKey(BusinessAccount, on_delete=models.CASCADE, related_name="templates")
    template_id = models.CharField(max_length=32, blank=True, help_text="Meta's id.")
    name = models.CharField(max_length=512)
    language = models.CharField(max_length=16, help_text="As the API writes it: en_US.")
    status = models.CharField(max_length=32)
    category = models.CharField(
        max_length=32, blank=True, help_text="MARKETING, UTILITY or AUTHENTICATION."
    )
    next_category = models.CharField(
        max_length=32, blank=True, help_text="What Meta will make of the category, if it says so."
    )
    parameter_format = models.CharField(max_length=16, blank=True)
    components = models.JSONField(default=list)
    quality = models.CharField(max_length=16, blank=True, help_text="GREEN, YELLOW or RED.")
    reason = models.CharField(
        max_length=300, blank=True, help_text="Why it was rejected, paused or disabled."
    )
    updated_at = models.DateTimeField(help_text="When Meta last told us anything about it.")

    objects = TenantQuerySet["MessageTemplate"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name", "language"], name="template_one_per_language"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"

    @property
    def sendable(self) -> Sendable:
        """Return what becomes of messages that use it."""
        return SENDABLE.get(self.status, Sendable.YES)


# A word we do not know leaves the decision to Meta.
SENDABLE: dict[str, Sendable] = {
    MessageTemplate.Status.APPROVED: Sendable.YES,
    MessageTemplate.Status.PENDING: Sendable.LATER,
    MessageTemplate.Status.IN_APPEAL: Sendable.LATER,
    MessageTemplate.Status.PAUSED: Sendable.LATER,
    MessageTemplate.Status.LOCKED: Sendable.LATER,
    MessageTemplate.Status.REJECTED: Sendable.NEVER,
    MessageTemplate.Status.DISABLED: Sendable.NEVER,
    MessageTemplate.Status.PENDING_DELETION: Sendable.NEVER,
    MessageTemplate.Status.DELETED: Sendable.NEVER,
    MessageTemplate.Status.LIMIT_EXCEEDED: Sendable.NEVER,
    MessageTemplate.Status.ARCHIVED: Sendable.NEVER,
}
