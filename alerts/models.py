"""Incidents, whom to tell, and what has been told."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from alerts.severity import Severity
from orgs.encryption import EncryptedTextField
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class AlertQuerySet(TenantQuerySet["Alert"]):
    """Questions about incidents."""

    def open(self) -> Self:
        """Keep the incidents that go on."""
        return self.filter(resolved_at=None)


class Alert(models.Model):
    """An incident: it opens once, however often a check sees it, and resolves by itself.

    ``rule`` and ``key`` say what it is about; there is one open incident of each pair at most.
    """

    rule = models.CharField(max_length=32)
    key = models.CharField(
        max_length=650, blank=True, help_text="What the rule was broken by; empty: the whole."
    )
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: the whole installation.",
    )
    is_part = models.BooleanField(
        default=False,
        help_text="An incident of the installation tells of it too: only the organisation's own "
        "routes are told.",
    )
    severity = models.CharField(
        max_length=8, choices=Severity, help_text="The worst since it opened."
    )
    title = models.CharField(max_length=200)
    summary = models.CharField(max_length=1000)
    figures = models.JSONField(default=list, help_text="Pairs of a name and a value.")
    table = models.JSONField(default=list, help_text="Rows of texts, the first with the headings.")
    advice = models.TextField(blank=True)
    is_event = models.BooleanField(
        default=False, help_text="It has happened, and that is all: no reminder, no end is told."
    )
    page = models.CharField(
        max_length=800, blank=True, help_text="Path of the console's page about it."
    )
    size = models.FloatField(default=0.0, help_text="How bad it is; comparable within its rule.")
    told_size = models.FloatField(default=0.0, help_text="How bad it was when last told.")

    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    reopened = models.PositiveIntegerField(
        default=0, help_text="How often it came back soon after it had resolved."
    )
    last_notified_at = models.DateTimeField(null=True, blank=True)
    is_told = models.BooleanField(
        default=False, help_text="Somebody was told that it goes on, so its end is told too."
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(
        max_length=64, blank=True, help_text="As in the audit trail."
    )
    muted_until = models.DateTimeField(null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = "incident"
        permissions = [
            ("handle_alert", "Can acknowledge and mute incidents, and run checks"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "key"],
                condition=Q(resolved_at=None),
                name="alert_one_open_per_rule_and_key",
            ),
        ]
        indexes = [
            models.Index(fields=["rule", "-resolved_at"], name="idx_alert_rule_resolved"),
            models.Index(fields=["-opened_at"], name="idx_alert_opened"),
        ]

    def __str__(self) -> str:
        return self.title

    def is_muted(self, at: datetime) -> bool:
        """Say whether staff want to hear nothing of it at that time."""
        return self.muted_until is not None and self.muted_until > at


class RouteQuerySet(TenantQuerySet["Route"]):
    """Questions about routes."""

    def active(self) -> Self:
        """Keep those that are in use."""
        return self.filter(is_active=True)


class Route(models.Model):
    """Whom to tell of which incidents, and by which outlet."""

    class Outlet(models.TextChoices):
        """How people are told."""

        EMAIL = "email", "E-mail"
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook", "Webhook"

    name = models.CharField(max_length=100)
    org = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="organisation",
        help_text="Only incidents of this organisation. Empty: all incidents.",
    )
    least_severity = models.CharField(
        max_length=8,
        choices=Severity,
        default=Severity.WARNING,
        help_text="Incidents below it are not told here.",
    )
    outlet = models.CharField(max_length=8, choices=Outlet)
    recipients = models.TextField(
        blank=True, help_text="E-mail: addresses, separated by commas or lines."
    )
    url = EncryptedTextField(
        "URL", blank=True, default="", help_text="Slack: its incoming webhook. Webhook: where to."
    )
    signing_secret = EncryptedTextField(
        blank=True, default="", help_text="Webhook: signs what is posted (whsec_…)."
    )
    daily_report = models.BooleanField(
        default=False, help_text="E-mail: also the daily report of the dead letter queue."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RouteQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """One message to one outlet, kept until it is through or given up.

    ``content`` is what is said, as it was at the time; sending happens in no transaction.
    """

    class Kind(models.TextChoices):
        """What it tells."""

        OPENED = "opened", "Opened"
        REMINDER = "reminder", "Still open"
        WORSE = "worse", "Worse"
        AGAIN = "again", "Back again"
        RESOLVED = "resolved", "Resolved"
        TEST = "test", "Test"
        REPORT = "report", "Daily report"

    class State(models.TextChoices):
        """How far it has come."""

        PENDING = "PENDING", "Waiting"
        SENT = "SENT", "Sent"
        GIVEN_UP = "GIVEN_UP", "Given up"

    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, null=True, blank=True, related_name="notices"
    )
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
    )
    route = models.ForeignKey(
        Route,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: as the settings say.",
    )
    outlet = models.CharField(max_length=8, choices=Route.Outlet)
    kind = models.CharField(max_length=8, choices=Kind)
    severity = models.CharField(max_length=8, choices=Severity)
    content = models.JSONField()
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    objects = TenantQuerySet["Notice"].as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(state="PENDING"), name="idx_notice_pending"
            ),
            models.Index(fields=["created_at"], name="idx_alerts_notice_created"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.get_outlet_display()}"


class CheckRun(models.Model):
    """When a check last looked, and what it found; its lock lets one process judge at a time."""

    name = models.CharField(max_length=32, unique=True)
    read_at = models.DateTimeField(
        null=True, help_text="Of what moment the figures are that were last judged."
    )
    duration_ms = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0, help_text="How many incidents go on.")
    error = models.CharField(max_length=200, blank=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "check"

    def __str__(self) -> str:
        return self.name
