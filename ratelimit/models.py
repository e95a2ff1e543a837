"""Holds of whole scopes, and the usage the limits are counted by."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from orgs.models import Organization
from orgs.tenancy import TenantQuerySet
from ratelimit.rules import LARGEST_QUOTA, Limit


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
        QUOTA_EXCEEDED = Limit.QUOTA.value, "Quota used up"
        PAUSED_BY_STAFF = "paused_by_staff", "Paused by staff"
        PAUSED_BY_CLIENT = "paused_by_client", "Paused by the client"

    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
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


class RateLimitQuerySet(TenantQuerySet["WhatsAppRateLimit"]):
    """Questions about quotas."""

    def throttled(self, at: datetime) -> Self:
        """Keep the organisations that Meta throttles as a whole at that time."""
        return self.filter(throttled_until__gt=at)


class WhatsAppRateLimit(models.Model):
    """An organisation's quota, what it has used of it, and its throttle.

    Written in the transaction of each claim, under this row's lock, so it is never behind what
    was sent. The lock also covers the usage of the organisation's numbers and pairs.
    """

    org = models.OneToOneField(
        Organization, verbose_name="organisation", on_delete=models.CASCADE, related_name="+"
    )
    quota_limit = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Messages per window; empty: as WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA says.",
    )
    messages_sent = models.BigIntegerField(default=0, help_text="In the window that is open.")
    reset_at = models.DateTimeField(
        null=True, blank=True, help_text="End of the window; the first message opens the next."
    )
    throttled_until = models.DateTimeField(null=True, blank=True)

    objects = RateLimitQuerySet.as_manager()

    class Meta:
        db_table = "whatsapp_rate_limit"
        verbose_name = "quota"
        constraints = [
            models.CheckConstraint(
                condition=Q(quota_limit__isnull=True)
                | Q(quota_limit__gte=1, quota_limit__lte=LARGEST_QUOTA),
                name="rate_limit_quota_sensible",
            ),
            models.CheckConstraint(
                condition=Q(messages_sent__gte=0), name="rate_limit_count_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["org", "reset_at"], name="idx_rate_limit_org_reset")]

    def __str__(self) -> str:
        return f"quota of {self.org.org_id}"


class NumberUsage(models.Model):
    """The start slots of one phone number that are given out."""

    number_id = models.BigIntegerField(primary_key=True)
    free_at = models.BigIntegerField(help_text="The first free start slot, microseconds.")

    class Meta:
        db_table = "ratelimit_number"

    def __str__(self) -> str:
        return f"start slots of number {self.number_id}"


class PairUsage(models.Model):
    """What one phone number has borrowed from the future towards one person."""

    pk = models.CompositePrimaryKey("number_id", "contact_id")
    number_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    free_at = models.BigIntegerField(help_text="When all is paid back, microseconds.")

    class Meta:
        db_table = "ratelimit_pair"

    def __str__(self) -> str:
        return f"debt of number {self.number_id} towards contact {self.contact_id}"


class PortfolioUsage(models.Model):
    """How many people a business portfolio has reached, at most; its lock guards the reach."""

    portfolio_id = models.CharField(max_length=32, primary_key=True)
    at_most = models.BigIntegerField(
        default=0, help_text="Counted exactly only when it comes near the tier."
    )

    class Meta:
        db_table = "ratelimit_portfolio"

    def __str__(self) -> str:
        return f"reach of portfolio {self.portfolio_id}"


class PortfolioReach(models.Model):
    """When a business portfolio last reached one person outside a service window."""

    pk = models.CompositePrimaryKey("portfolio_id", "contact_id")
    portfolio_id = models.CharField(max_length=32)
    contact_id = models.BigIntegerField()
    last_at = models.BigIntegerField(help_text="Microseconds.")

    class Meta:
        db_table = "ratelimit_reach"
        indexes = [models.Index(fields=["portfolio_id", "last_at"], name="idx_ratelimit_reach")]

    def __str__(self) -> str:
        return f"reach of portfolio {self.portfolio_id}"
