"""With whom and from where we send: Meta apps, WhatsApp accounts, phone numbers, windows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from consent.models import Contact
from orgs.encryption import EncryptedTextField
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet
from ratelimit.rules import FULL_SHARE


class AppQuerySet(TenantQuerySet["MetaApp"]):
    """Meta apps; several organisations may share one."""

    def of(self, org: Organization) -> Self:
        """Keep the apps the organisation has accounts with."""
        return self.of_any([org.pk])

    def of_any(self, org_ids: Collection[int]) -> Self:
        """Keep the apps these organisations have accounts with."""
        return self.filter(pk__in=BusinessAccount.objects.of_any(org_ids).values("app"))


class MetaApp(models.Model):
    """One app at Meta: one callback URL, one secret that signs its webhooks."""

    app_id = models.CharField(max_length=32, unique=True, help_text="Meta's id of the app.")
    name = models.CharField(max_length=100)
    app_secret = EncryptedTextField(help_text="Signs the webhooks of this app.")
    previous_app_secret = EncryptedTextField(
        blank=True, default="", help_text="Still accepted while the secret is rotated."
    )
    verify_token = EncryptedTextField(help_text="Answers Meta's challenge at set-up.")
    shared = models.BooleanField(
        default=True, help_text="Tried on the common webhook path, not only on the app's own."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AppQuerySet.as_manager()

    class Meta:
        verbose_name = "Meta app"

    def __str__(self) -> str:
        return self.name if self.app_id in self.name else f"{self.name} ({self.app_id})"

    def secrets(self) -> list[str]:
        """Return the secrets a webhook may be signed with now."""
        return [secret for secret in (self.app_secret, self.previous_app_secret) if secret]


class Tier(models.IntegerChoices):
    """Meta's messaging limit of a portfolio: unique people per rolling 24 hours."""

    UNKNOWN = 0, "unknown or unlimited (not enforced)"
    TIER_250 = 250, "250"
    TIER_2K = 2_000, "2,000"
    TIER_10K = 10_000, "10,000"
    TIER_100K = 100_000, "100,000"

    @classmethod
    def _missing_(cls, value: object) -> Tier | None:
        """Take any other figure that Meta may set, shown as it is."""
        if not isinstance(value, int) or value < 0:
            return None
        other = int.__new__(cls, value)
        other._name_, other._value_, other._label_ = f"TIER_{value}", value, f"{value:,}"
        return other


class BusinessAccount(models.Model):
    """A WhatsApp Business Account (WABA): templates, billing and policy live here."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    app = models.ForeignKey(MetaApp, on_delete=models.PROTECT, related_name="accounts")
    waba_id = models.CharField(
        "WABA id", max_length=32, unique=True, help_text="Meta's id of the account."
    )
    name = models.CharField(max_length=100, blank=True)
    access_token = EncryptedTextField(help_text="Token of a system user; sends for its numbers.")
    templates_due_at = models.DateTimeField(
        default=timezone.now, help_text="When Meta is next asked for the templates."
    )
    templates_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When Meta was last asked for them."
    )
    templates_synced_at = models.DateTimeField(
        null=True, blank=True, help_text="When the list of templates was last complete."
    )
    templates_failures = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How often in a row they could not be read."
    )
    templates_error = models.CharField(
        max_length=300, blank=True, help_text="Why Meta did not give the templates."
    )
    portfolio_id = models.CharField(
        max_length=32,
        blank=True,
        help_text="Meta's id of the business portfolio; empty: the account counts by itself.",
    )
    portfolio_tier = models.PositiveIntegerField(
        choices=Tier,
        default=Tier.UNKNOWN,
        help_text="How many people the portfolio may reach in 24 hours, as Meta shows it.",
    )
    tier_told_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Of when Meta's word on it is."
    )
    utility_capped_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Until when Meta caps utility messages, for templates with a wrong category.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet["BusinessAccount"].as_manager()

    class Meta:
        verbose_name = "WhatsApp account"
        permissions = [("read_templates", "Can have the templates read from Meta")]

    def __str__(self) -> str:
        return self.name or self.waba_id


class PhoneNumber(models.Model):
    """A number we send from; throughput and quality live here."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    account = models.ForeignKey(BusinessAccount, on_delete=models.PROTECT, related_name="numbers")
    phone_number_id = models.CharField(
        max_length=32, unique=True, help_text="Meta's id of the number, not the number itself."
    )
    display_phone_number = models.CharField(max_length=32, blank=True)
    verified_name = models.CharField(max_length=200, blank=True)
    quality_rating = models.CharField(max_length=16, blank=True)
    messages_per_second = models.PositiveSmallIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Meta allows 80 or, after an upgrade, 1,000, sent and received together.",
    )
    throughput_level = models.CharField(
        max_length=16,
        blank=True,
        editable=False,
        help_text="STANDARD, or HIGH after Meta's upgrade to 1,000 a second.",
    )
    told_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Of when Meta's word on the number is."
    )
    read_due_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When Meta is next asked about the number."
    )
    rate_share = models.PositiveSmallIntegerField(
        default=FULL_SHARE,
        db_default=FULL_SHARE,
        editable=False,
        help_text="Per mille of the rate left when Meta last refused one message too many.",
    )
    rate_lowered_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_active = models.BooleanField(default=True, help_text="An inactive number sends nothing.")
    health_said = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What Meta last said of its health, or why it did not.",
    )
    health_said_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet["PhoneNumber"].as_manager()

    class Meta:
        permissions = [("pause_sending", "Can pause and resume numbers and organisations")]

    def __str__(self) -> str:
        return self.display_phone_number or self.phone_number_id


class ServiceWindow(models.Model):
    """When a person last wrote to a number: free-form messages may go for 24 hours after."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.CASCADE, related_name="+"
    )
    phone_number = models.ForeignKey(PhoneNumber, on_delete=models.CASCADE, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    last_inbound_at = models.DateTimeField()

    objects = TenantQuerySet["ServiceWindow"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["phone_number", "contact"], name="service_window_one_per_pair"
            ),
        ]

    def __str__(self) -> str:
        return f"window of contact {self.contact_id} with number {self.phone_number_id}"
