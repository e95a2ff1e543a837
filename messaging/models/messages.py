"""What a client asked for, each call made for it, and its timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from consent.models import Contact, Purpose
from messaging.models.accounts import PhoneNumber
from messaging.providers.base import Outcome
from messaging.states import Cause, Status
from orgs.append_only import AppendOnlyModel
from orgs.ids import uuid7
from orgs.models import Organization, UnknownPolicy
from orgs.tenancy import TenantQuerySet

# Codes of our own; Meta's are numbers.
DELIVERY_UNKNOWN = "DELIVERY_UNKNOWN"
EXPIRED = "EXPIRED"
CONSENT_REVOKED = "CONSENT_REVOKED"
OUTSIDE_SERVICE_WINDOW = "OUTSIDE_SERVICE_WINDOW"
TEMPLATE_NOT_SENDABLE = "TEMPLATE_NOT_SENDABLE"
CANCELLED_BY_CLIENT = "CANCELLED_BY_CLIENT"
CANCELLED_BY_STAFF = "CANCELLED_BY_STAFF"
DISCARDED = "DISCARDED"


class MessageQuerySet(TenantQuerySet["OutboundMessage"]):
    """The words for sets of messages: one definition for worker, API and console."""

    def due(self, at: datetime) -> Self:
        """Keep the messages whose turn has come."""
        return self.filter(status=Status.QUEUED, due_at__lte=at)

    def dead(self) -> Self:
        """Keep the dead letter queue."""
        return self.filter(status=Status.FAILED)

    def overdue(self, at: datetime) -> Self:
        """Keep the messages whose claim, or wait for evidence, has run out."""
        return self.filter(status=Status.SENDING, lease_expires_at__lt=at)


class OutboundMessage(models.Model):
    """One message a client asked us to send to one person."""

    class Channel(models.TextChoices):
        """How it travels; the engine sends WHATSAPP, the others are for further providers."""

        WHATSAPP = "WHATSAPP", "WhatsApp"
        EMAIL = "EMAIL", "E-mail"
        SMS = "SMS", "SMS"

    class Category(models.TextChoices):
        """Meta's category of the message."""

        MARKETING = "marketing", "Marketing"
        UTILITY = "utility", "Utility"
        AUTHENTICATION = "authentication", "Authentication"
        SERVICE = "service", "Service"

    class Priority(models.IntegerChoices):
        """A high message never waits behind bulk; the numbers sort."""

        HIGH = 10, "high"
        NORMAL = 20, "normal"
        BULK = 30, "bulk"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Each index of this table is written twice for each message sent: none that another covers,
    # nor one for the rare removal of a number.
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    phone_number = models.ForeignKey(
        PhoneNumber, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="+")
    to_recipient = models.CharField(max_length=150, help_text="E.164 with +, or a BSUID.")
    channel = models.CharField(max_length=16, choices=Channel, default=Channel.WHATSAPP)
    kind = models.CharField(max_length=16)
    template_name = models.CharField(max_length=512, blank=True)
    template_language = models.CharField(max_length=16, blank=True)
    payload = models.JSONField()
    reply_to = models.CharField(max_length=255, blank=True, help_text="wamid to quote.")
    category = models.CharField(max_length=16, choices=Category)
    purpose = models.CharField(max_length=16)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    scheduled_at = models.DateTimeField(
        null=True, blank=True, help_text="The client's wish; empty: at once."
    )
    on_unknown = models.CharField(
        max_length=8,
        choices=UnknownPolicy,
        blank=True,
        help_text="When no evidence of a lost answer comes; empty: as the organisation says.",
    )

    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED)
    due_at = models.DateTimeField(null=True, blank=True)
    held_by = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="The limit that moved the due time of a queued message; the claim clears it.",
    )
    expires_at = models.DateTimeField()
    attempt_count = models.PositiveSmallIntegerField(default=0, help_text="Charged attempts.")
    max_attempts = models.PositiveSmallIntegerField()
    last_attempt_number = models.PositiveIntegerField(default=0, help_text="Numbers every call.")
    claim_id = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    error_message = models.CharField(max_length=500, blank=True)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    request_fingerprint = models.CharField(max_length=64)
    reference = models.CharField(max_length=255, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    pricing = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="How Meta charges it: model/type/category, such as PMP/regular/marketing.",
    )
    failed_at = models.DateTimeField(null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        db_table = "outbound_message"
        constraints = [
            models.UniqueConstraint(
                fields=["org", "idempotency_key"], name="message_one_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="message_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status=Status.QUEUED, due_at__isnull=False)
                | (~Q(status=Status.QUEUED) & Q(due_at__isnull=True)),
                name="message_due_only_while_queued",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=Status.SENDING, claim_id__isnull=False, lease_expires_at__isnull=False
                )
                | (
                    ~Q(status=Status.SENDING)
                    & Q(claim_id__isnull=True, lease_expires_at__isnull=True)
                ),
                name="message_claim_only_while_sending",
            ),
            models.CheckConstraint(
                condition=Q(attempt_count__lte=F("max_attempts")),
                name="message_attempts_within_limit",
            ),
        ]
        indexes = [
            models.Index(
                fields=["phone_number", "priority", "due_at", "id"],
                condition=Q(status=Status.QUEUED),
                name="idx_outbound_message_queued",
            ),
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(status=Status.SENDING),
                name="idx_outbound_message_sending",
            ),
            # With what the report counts, so that it reads this alone.
            models.Index(
                fields=["org", "failed_at", "channel", "error_code"],
                condition=Q(status=Status.FAILED),
                name="idx_outbound_message_dead",
            ),
            # Only failed messages pay for these: groups and counts by whatever they have in
            # common, and the list and operations on all that match, which go by id. The first
            # ends with the id, so that thousands of one cause are found without their rows.
            models.Index(
                fields=["error_code", "org", "failed_at", "phone_number", "template_name", "id"],
                condition=Q(status=Status.FAILED),
                name="idx_dead_letter_cause",
            ),
            models.Index(
                fields=["id"], condition=Q(status=Status.FAILED), name="idx_dead_letter_id"
            ),
            # A message enters it with its second attempt only.
            models.Index(
                fields=["attempt_count", "created_at"],
                condition=Q(status__in=[Status.QUEUED, Status.SENDING], attempt_count__gt=0),
                name="idx_outbound_message_retried",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status=Status.QUEUED),
                name="idx_outbound_message_expiry",
            ),
            models.Index(fields=["org", "-created_at", "-id"], name="idx_outbound_message_list"),
            models.Index(fields=["to_recipient"], name="idx_outbound_message_to"),
            models.Index(
                fields=["reference"],
                condition=~Q(reference=""),
                name="idx_outbound_message_reference",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def to_is_bsuid(self) -> bool:
        """Say whether the recipient is a business-scoped user id instead of a phone."""
        return not self.to_recipient.startswith("+")


def purpose_of(category: str) -> Purpose:
    """Return the consent that messages of a category need."""
    is_marketing = category == OutboundMessage.Category.MARKETING
    return Purpose.MARKETING if is_marketing else Purpose.TRANSACTIONAL


class DeadLetter(OutboundMessage):
    """The same table seen as the dead letter queue, for its own page in the console."""

    class Meta:
        proxy = True
        verbose_name = "dead letter"
        verbose_name_plural = "dead letter queue"


class AttemptQuerySet(TenantQuerySet["OutboundAttempt"]):
    """Calls for messages."""

    org_path = "message__org"


class OutboundAttempt(models.Model):
    """One call to the provider, and what its statuses said since."""

    STARTED = "STARTED"
    OUTCOMES = [(STARTED, "Started"), *((o.value, o.value.capitalize()) for o in Outcome)]

    # No constraint, here and below: such a row is only written, and its message only deleted,
    # under the lock of the message, and each check would lock and log that once more.
    message = models.ForeignKey(
        OutboundMessage,
        on_delete=models.CASCADE,
        related_name="attempts",
        db_constraint=False,
        db_index=False,
    )
    attempt_number = models.PositiveIntegerField()
    claim_id = models.UUIDField()
    outcome = models.CharField(max_length=16, choices=OUTCOMES, default=STARTED)
    charged = models.BooleanField(default=False, help_text="Counts against the attempt limit.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    provider_message_id = models.CharField(max_length=255, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    trace_id = models.CharField(max_length=64, blank=True, help_text="For Meta's support.")
    excerpt = models.TextField(blank=True, help_text="Redacted start of an unreadable answer.")
    receipts = models.CharField(
        max_length=64, blank=True, help_text="The statuses that came for it, each once."
    )

    objects = AttemptQuerySet.as_manager()

    class Meta:
        db_table = "outbound_attempt"
        verbose_name = "attempt"
        constraints = [
            models.UniqueConstraint(
                fields=["message", "attempt_number"], name="attempt_number_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["provider_message_id"],
                condition=~Q(provider_message_id=""),
                name="idx_outbound_attempt_wamid",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt_number}"


class EventQuerySet(TenantQuerySet["MessageEvent"]):
    """Lines of timelines."""


class MessageEvent(AppendOnlyModel):
    """The append-only timeline of a message; holds ids and codes, never a phone or a body."""

    message = models.ForeignKey(
        OutboundMessage,
        on_delete=models.CASCADE,
        related_name="events",
        db_constraint=False,
        db_index=False,
    )
    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    at = models.DateTimeField(help_text="When it happened, by the clock of who saw it.")
    recorded_at = models.DateTimeField(help_text="When we wrote it down.")
    kind = models.CharField(max_length=32)
    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16, blank=True)
    cause = models.CharField(max_length=16, choices=Cause)
    attempt_number = models.PositiveIntegerField(null=True, blank=True)
    code = models.CharField(max_length=32, blank=True)
    actor = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        # On PostgreSQL a migration adds a BRIN index of recorded_at: who asks what has changed
        # finds it here, because an index of the messages' updated_at would be written by every
        # update and keep all of them from being HOT.
        db_table = "message_event"
        indexes = [models.Index(fields=["message", "id"], name="idx_message_event_timeline")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.message_id}"
