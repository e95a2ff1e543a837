"""Contacts, their present consents, and the append-only ledger behind them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orgs.append_only import AppendOnlyModel
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class Channel(models.TextChoices):
    """How a message travels."""

    WHATSAPP = "WHATSAPP", "WhatsApp"
    EMAIL = "EMAIL", "E-mail"
    SMS = "SMS", "SMS"


class Purpose(models.TextChoices):
    """What the person agreed to."""

    MARKETING = "marketing", "Marketing"
    TRANSACTIONAL = "transactional", "Transactional"


class Decision(models.TextChoices):
    """What the person, or somebody for them, decided."""

    GRANTED = "GRANTED", "Granted"
    DENIED = "DENIED", "Denied"
    REVOKED = "REVOKED", "Revoked"


class Source(models.TextChoices):
    """Where a decision came from."""

    API = "api", "API"
    CONSOLE = "console", "Console"
    IMPORT = "import", "Import"
    PERSON = "person", "The person"
    PROVIDER = "provider", "Meta"


class Contact(models.Model):
    """A person as one organisation knows them: by phone, by business-scoped id, or both."""

    org = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    phone = models.CharField(max_length=16, null=True, blank=True, help_text="E.164 with +.")
    bsuid = models.CharField(
        max_length=140, null=True, blank=True, help_text="Meta's business-scoped user id."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet["Contact"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org", "phone"], name="contact_one_per_phone"),
            models.UniqueConstraint(fields=["org", "bsuid"], name="contact_one_per_bsuid"),
            models.CheckConstraint(
                condition=Q(phone__isnull=False) | Q(bsuid__isnull=False),
                name="contact_phone_or_bsuid",
            ),
        ]

    def __str__(self) -> str:
        return f"contact {self.pk}"


class Consent(models.Model):
    """The present answer; it follows from the events and is kept for speed."""

    org = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="consents", db_index=False
    )
    channel = models.CharField(max_length=16, choices=Channel, default=Channel.WHATSAPP)
    purpose = models.CharField(max_length=16, choices=Purpose)
    status = models.CharField(max_length=16, choices=Decision)
    expires_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=16, choices=Source)
    proof = models.JSONField(default=dict, blank=True)
    decided_at = models.DateTimeField(help_text="When the person decided.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet["Consent"].as_manager()

    class Meta:
        db_table = "consentement"
        constraints = [
            models.UniqueConstraint(
                fields=["contact", "channel", "purpose"], name="consent_one_answer"
            ),
        ]
        indexes = [models.Index(fields=["org", "-id"], name="idx_consent_org")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.status} of contact {self.contact_id}"


class ConsentEvent(AppendOnlyModel):
    """One decision, with what proves it."""

    org = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    consent = models.ForeignKey(
        Consent, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    status = models.CharField(max_length=16, choices=Decision)
    expires_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=16, choices=Source)
    actor = models.CharField(max_length=64)
    proof = models.JSONField(default=dict, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet["ConsentEvent"].as_manager()

    class Meta:
        indexes = [models.Index(fields=["consent", "id"], name="idx_consent_event_history")]

    def __str__(self) -> str:
        return f"{self.status} for consent {self.consent_id}"
