"""What the provider has told of an account: the account's timeline."""

from __future__ import annotations

from django.db import models

from messaging.models.accounts import BusinessAccount
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet

# The topic of errors about a number as a whole, and Meta's code for a webhook lost for good.
ERRORS = "errors"
WEBHOOK_LOST = "131035"


class ProviderNotice(models.Model):
    """One thing told once, about the account, one of its numbers or one of its templates."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    account = models.ForeignKey(BusinessAccount, on_delete=models.CASCADE, related_name="notices")
    topic = models.CharField(max_length=64, help_text="The webhook field.")
    event = models.CharField(max_length=64, blank=True, help_text="Meta's word for it.")
    subject = models.CharField(
        max_length=600, blank=True, help_text="The template or number; empty: the account."
    )
    detail = models.CharField(max_length=300, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    digest = models.CharField(max_length=64, unique=True)

    objects = TenantQuerySet["ProviderNotice"].as_manager()

    class Meta:
        verbose_name = "notice from Meta"
        verbose_name_plural = "notices from Meta"
        indexes = [
            models.Index(fields=["account", "-occurred_at"], name="idx_notice_account"),
            models.Index(fields=["recorded_at"], name="idx_notice_recorded"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.event}".strip().replace("_", " ").lower()
