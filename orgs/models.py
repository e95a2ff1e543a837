"""Organisations, their API keys, and the audit trail."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from orgs.append_only import AppendOnlyModel
from orgs.encryption import EncryptedTextField
from orgs.tenancy import TenantQuerySet

SCOPES = ("send", "read", "manage")


class UnknownPolicy(models.TextChoices):
    """What becomes of a message whose answer was lost, when no evidence comes in time."""

    RESEND = "resend", "Send again"
    HOLD = "hold", "To the dead letter queue"


class OrganizationQuerySet(TenantQuerySet["Organization"]):
    """The organisations themselves."""

    org_path = "pk"


class Organization(models.Model):
    """A tenant: nothing of one is visible or changed through another."""

    org_id = models.CharField(
        "organisation id",
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_-]*\Z",
                "Use small letters, digits, - and _; begin with a letter or digit.",
            )
        ],
        help_text="Public id, as in X-Org-Id.",
    )
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(
        default=True, help_text="An inactive organisation is refused and sends nothing."
    )
    on_unknown = models.CharField(
        "when an answer is lost",
        max_length=8,
        choices=UnknownPolicy,
        blank=True,
        help_text="When a lost answer leaves no evidence. Empty: marketing goes to the dead "
        "letter queue, everything else is sent again.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        verbose_name = "organisation"
        permissions = [
            ("reach_every_organization", "Can see every organisation, unless memberships limit it"),
            ("unmask_person", "Can see whole phone numbers and ids of people (audited)"),
            ("open_content", "Can read what messages say (audited)"),
        ]

    def __str__(self) -> str:
        return self.org_id


class Membership(models.Model):
    """One organisation a person who logs in is limited to."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.CASCADE,
        related_name="memberships",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet["Membership"].as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "org"], name="membership_once")]

    def __str__(self) -> str:
        return f"user {self.user_id} in organisation {self.org_id}"


class SecondFactor(models.Model):
    """The app on a person's phone whose codes they add when they log in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    secret = EncryptedTextField()
    confirmed_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it is being set up and asked of nobody."
    )
    last_step = models.BigIntegerField(default=-1, help_text="A code is good once.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Wrong codes in a row.")
    wait_until = models.DateTimeField(null=True, blank=True)
    recovery = models.JSONField(default=list, help_text="Hashes of the codes that are left.")

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class ApiKey(models.Model):
    """A key of an organisation; the secret itself is shown once and never stored."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="keys"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True, help_text="The part that may be shown.")
    secret_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the key.")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TenantQuerySet["ApiKey"].as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEvent(AppendOnlyModel):
    """One change by a person, a key or a command: who, what, why, before, after."""

    at = models.DateTimeField(auto_now_add=True)
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    actor = models.CharField(max_length=64, help_text="user:<id>, key:<prefix> or system:<what>")
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=128)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects = TenantQuerySet["AuditEvent"].as_manager()

    class Meta:
        permissions = [("export_auditevent", "Can take the audit trail out as a file (audited)")]
        indexes = [
            models.Index(fields=["target", "id"], name="idx_audit_target"),
            models.Index(fields=["org", "-id"], name="idx_audit_org"),
            models.Index(fields=["actor", "-id"], name="idx_audit_actor"),
            models.Index(fields=["action", "-id"], name="idx_audit_action"),
            models.Index(fields=["at"], name="idx_audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class MetricTally(models.Model):
    """A part of one sample of /metrics; see ``orgs.tallies``."""

    pk = models.CompositePrimaryKey("name", "labels", "shard")
    name = models.CharField(max_length=120, help_text="Of the sample, such as x_total.")
    labels = models.CharField(max_length=500, help_text="As JSON, sorted by name.")
    shard = models.BigIntegerField(help_text="The database connection that counts in it, or 0.")
    value = models.FloatField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "metric_tally"

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"
