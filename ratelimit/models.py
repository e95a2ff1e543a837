"""Hold: a whole scope that is not sending now, why, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class HoldQuerySet(TenantQuerySet["Hold"]):
    """Questions about holds."""

    def active(self, at: datetime) -> Self:
        """Keep the holds that stop their scope at that time."""
        return self.filter(Q(until__isnull=True) | Q(until__gt=at))


class Hold(models.Model):
    """One row per scope; messages are never written, so lifting a hold is immediate."""

    class Scope(models.TextChoices):
        """What stands still."""

        APP = "app", "Meta app"
        ACCOUNT = "account", "WhatsApp account"
        NUMBER = "number", "Phone number"
        ORGANIZATION = "organization", "Organisation"

    class Cause(models.TextChoices):
        """Why it stands still."""

        THROTTLE = "throttle", "Rate limit at Meta"
        CREDENTIALS = "credentials", "Access token refused"
        BILLING = "billing", "Payment problem"
        POLICY = "policy", "Policy restriction"
        REGISTRATION = "registration", "Number not registered"

    org = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    scope = models.CharField(max_length=16, choices=Scope)
    key = models.CharField(max_length=100, help_text="Meta's id of the app, account or number.")
    cause = models.CharField(max_length=16, choices=Cause)
    code = models.CharField(max_length=32, blank=True, help_text="The provider's error code.")
    detail = models.CharField(max_length=500, blank=True)
    opened_at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until somebody lifts it.")

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="hold_one_per_scope"),
        ]
        indexes = [models.Index(fields=["until"], name="idx_hold_until")]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.key}: {self.get_cause_display()}"
