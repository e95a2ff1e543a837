"""What staff do for a person as a whole."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from consent.models import Contact
from orgs.encryption import EncryptedTextField
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class Erasure(models.Model):
    """A request to erase a person, and how far it has come; in the end it holds ids only."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    contact = models.OneToOneField(Contact, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    names = EncryptedTextField(
        blank=True, help_text="How Meta names the person, one a line; kept until the end."
    )
    requested_at = models.DateTimeField()
    tried_at = models.DateTimeField(
        null=True, blank=True, help_text="When it last could not go on; the others go first."
    )
    emptied_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The messages were empty then; webhooks received before are searched.",
    )
    searched_up_to = models.BigIntegerField(
        default=0, help_text="The last webhook delivery that was searched for the person."
    )
    parts_up_to = models.BigIntegerField(
        default=0, help_text="The last part of an import that was searched for the person."
    )
    messages = models.PositiveIntegerField(default=0, help_text="Messages emptied.")
    deliveries = models.PositiveIntegerField(default=0, help_text="Deliveries emptied of them.")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantQuerySet["Erasure"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(finished_at=None), name="idx_erasure_open")
        ]

    def __str__(self) -> str:
        return f"erasure of contact {self.contact_id}"
