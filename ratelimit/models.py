"""Holds: whole scopes that are not sending now, why, and until when."""

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
    """One row per scope and cause; messages are never written, so lifting is immediate.

    Causes are kept apart, so that resuming a paused number does not forget a refused token.
    """

    class Scope(models.TextChoices):
        """What stands still."""

        APP = "app", "Meta app"
        ACCOUNT = "account", "WhatsApp account"
        NUMBER = "number", "Phone number"
        ORGANIZATION = "organization", "Organisation"
        TEMPLATE = "template", "Template"

    class Cause(models.TextChoices):
        """Why it stands still."""

        THROTTLE = "throttle", "Rate limit at Meta"
        CREDENTIALS = "credentials", "Access token refused"
        BILLING = "billing", "Payment problem"
        POLICY = "policy", "Policy restriction"
        REGISTRATION = "registration", "Number not registered"
        TEMPLATE = "template", "Template paused by Meta"
        PROVIDER_UNAVAILABLE = "provider_unavailable", "Provider unavailable"
        PAUSED_BY_STAFF = "paused_by_staff", "Paused by staff"
        PAUSED_BY_CLIENT = "paused_by_client", "Paused by the client"

    org = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    scope = models.CharField(max_length=16, choices=Scope)
    key = models.CharField(
        max_length=600, help_text="Meta's id of the app, account or number, or the org_id."
    )
    cause = models.CharField(max_length=32, choices=Cause)
    code = models.CharField(max_length=32, blank=True, help_text="The provider's error code.")
    detail = models.CharField(max_length=500, blank=True)
    opened_at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until somebody lifts it.")
    probe_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is next tried whether the cause is gone."
    )
    probes = models.PositiveIntegerField(default=0, help_text="How often that was tried in vain.")

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "key", "cause"], name="hold_one_per_scope_and_cause"
            ),
        ]
        indexes = [models.Index(fields=["until"], name="idx_hold_until")]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.key}: {self.get_cause_display()}"


# Causes that last until the provider, or staff, says that all is well again.
STOPS = frozenset(
    {Hold.Cause.CREDENTIALS, Hold.Cause.BILLING, Hold.Cause.POLICY, Hold.Cause.REGISTRATION}
)


class FailureStreak(models.Model):
    """Calls of one Meta app that failed in a row since one last came through."""

    app_key = models.CharField(max_length=32, unique=True, help_text="Meta's id of the app.")
    messages = models.JSONField(
        default=list, help_text="Ids of different messages; one bad message is no outage."
    )
    began_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{len(self.messages)} messages of app {self.app_key} failed in a row"
