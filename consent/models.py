"""Contacts, their present consents, and the append-only ledger behind them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from orgs.append_only import AppendOnlyModel
from orgs.encryption import EncryptedTextField
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
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    phone = models.CharField(max_length=16, null=True, blank=True, help_text="E.164 with +.")
    bsuid = models.CharField(
        "BSUID", max_length=140, null=True, blank=True, help_text="Meta's business-scoped user id."
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        help_text="Such as America/Sao_Paulo; empty: from the phone number.",
    )
    zone_changed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The time zone changed then: what waits for them is yet to be looked at again.",
    )
    undeliverable_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Messages that came back undeliverable since one was last delivered.",
    )
    suspect_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since then they seem not to be reachable on WhatsApp.",
    )
    merged_into = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        db_index=False,
        help_text="The contact of the same person, which has the names of both.",
    )
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then nothing is recorded about them or sent."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet["Contact"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org", "phone"], name="contact_one_per_phone"),
            models.UniqueConstraint(fields=["org", "bsuid"], name="contact_one_per_bsuid"),
            models.CheckConstraint(
                condition=Q(phone__isnull=False)
                | Q(bsuid__isnull=False)
                | Q(erased_at__isnull=False)
                | Q(merged_into__isnull=False),
                name="contact_phone_or_bsuid",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(zone_changed_at__isnull=False),
                name="idx_contact_zone_changed",
            ),
            models.Index(
                fields=["id"],
                condition=Q(undeliverable_count__gt=0),
                name="idx_contact_undeliverable",
            ),
            models.Index(
                fields=["merged_into"],
                condition=Q(merged_into__isnull=False),
                name="idx_contact_merged",
            ),
        ]
        permissions = [
            ("export_contact", "Can export everything about a person"),
            ("erase_contact", "Can erase a person"),
        ]

    def __str__(self) -> str:
        return f"contact {self.pk}"


class Consent(models.Model):
    """The present answer; it follows from the events and is kept for speed."""

    org = models.ForeignKey(
        Organization,
        verbose_name="organisation",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
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
    cancel_pending = models.BooleanField(
        default=False, help_text="Taken back; the messages it covered are yet to be cancelled."
    )
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
        indexes = [
            models.Index(fields=["org", "-id"], name="idx_consent_org"),
            models.Index(
                fields=["id"], condition=Q(cancel_pending=True), name="idx_consent_cancel_pending"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} consent of contact {self.contact_id}"


class ConsentEvent(AppendOnlyModel):
    """One decision, with what proves it."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
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


class StopScope(models.TextChoices):
    """What a person who says STOP wants no more of."""

    MARKETING = "marketing", "Marketing only"
    EVERYTHING = "everything", "Everything"


class ConsentPolicy(models.Model):
    """How one organisation hears STOP and START, and when it leaves people in peace."""

    org = models.OneToOneField(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    stop_words = models.JSONField(default=list, blank=True)
    start_words = models.JSONField(default=list, blank=True)
    opt_out_payloads = models.JSONField(default=list, blank=True)
    stop_scope = models.CharField(
        max_length=16,
        choices=StopScope,
        default=StopScope.EVERYTHING,
        help_text="What a person who writes one of the words wants no more of.",
    )
    button_scope = models.CharField(
        max_length=16,
        choices=StopScope,
        default=StopScope.MARKETING,
        help_text="What a person who taps an opt-out button wants no more of.",
    )
    stop_confirmation = models.TextField(
        max_length=1000, blank=True, help_text="Answer to a STOP; empty: none."
    )
    start_confirmation = models.TextField(
        max_length=1000, blank=True, help_text="Answer to a START; empty: none."
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="Marketing waits from this local time of the person …"
    )
    quiet_until = models.TimeField(null=True, blank=True, help_text="… until this one.")
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        help_text="For people whose own cannot be told, such as Europe/Paris.",
    )
    hours_changed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Quiet hours changed then: what they held back before is yet to be looked at.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet["ConsentPolicy"].as_manager()

    class Meta:
        verbose_name = "consent policy"
        verbose_name_plural = "consent policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="consent_policy_quiet_both_or_none",
            ),
        ]

    def __str__(self) -> str:
        return f"consent policy of {self.org}"


class HashKey(models.Model):
    """The key of the hashes by which erased people are known again; one row."""

    secret = EncryptedTextField()

    def __str__(self) -> str:
        return "key of the hashes"


class RememberedStop(models.Model):
    """The STOP of a person who was erased, under a keyed hash of their number or id."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.CASCADE, related_name="+"
    )
    digest = models.CharField(max_length=64)
    channel = models.CharField(max_length=16, choices=Channel)
    purpose = models.CharField(max_length=16, choices=Purpose)
    source = models.CharField(max_length=16, choices=Source)
    decided_at = models.DateTimeField()

    objects = TenantQuerySet["RememberedStop"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org", "digest", "channel", "purpose"], name="remembered_stop_once"
            ),
        ]

    def __str__(self) -> str:
        return f"remembered STOP {self.pk}"


class ConsentImport(models.Model):
    """A file of decisions: kept in parts, tried out, shown, and on a word recorded."""

    class State(models.TextChoices):
        """How far it has come."""

        UPLOADING = "UPLOADING", "Being stored"
        TRYING = "TRYING", "Being tried out"
        READY = "READY", "Waits for your word"
        RECORDING = "RECORDING", "Being recorded"
        DONE = "DONE", "Recorded"
        DISCARDED = "DISCARDED", "Discarded"
        FAILED = "FAILED", "Stopped by an error"

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=State, default=State.UPLOADING)
    columns = models.JSONField(default=list)
    rows = models.PositiveIntegerField(default=0, help_text="Rows in the file.")
    done_rows = models.PositiveIntegerField(default=0, help_text="Rows tried out, or recorded.")
    next_part = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="How often in a row the next part could not be taken."
    )
    preview = models.JSONField(default=dict, help_text="What would change, in numbers.")
    result = models.JSONField(default=dict, help_text="What was changed, in numbers.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = TenantQuerySet["ConsentImport"].as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["id"],
                condition=~Q(state__in=["DONE", "DISCARDED", "FAILED"]),
                name="idx_consent_import_open",
            )
        ]

    def __str__(self) -> str:
        return f"import {self.pk}"


class ImportPart(models.Model):
    """Some rows of the file, each with its line; gone once they are recorded or discarded."""

    of = models.ForeignKey(ConsentImport, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField()
    rows = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["of", "position"], name="import_part_once"),
        ]

    def __str__(self) -> str:
        return f"part {self.position} of import {self.of_id}"


class ProblemQuerySet(TenantQuerySet["ImportProblem"]):
    """Problems of files."""

    org_path = "of__org"


class ImportProblem(models.Model):
    """What is wrong with a row; never holds the value."""

    of = models.ForeignKey(ConsentImport, on_delete=models.CASCADE, related_name="problems")
    line = models.PositiveIntegerField()
    column = models.CharField(max_length=64)
    code = models.CharField(max_length=64)
    detail = models.CharField(max_length=300)

    objects = ProblemQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["of", "line"], name="idx_import_problem_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail}"
