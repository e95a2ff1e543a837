"""What people have written to our numbers."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from consent.models import Contact
from messaging.models.accounts import PhoneNumber
from orgs.models import Organization
from orgs.tenancy import TenantQuerySet


class InboundMessage(models.Model):
    """One message of a person; its text is kept only as long as configured."""

    org = models.ForeignKey(
        Organization, verbose_name="organisation", on_delete=models.PROTECT, related_name="+"
    )
    phone_number = models.ForeignKey(PhoneNumber, on_delete=models.PROTECT, related_name="+")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="+")
    provider_message_id = models.CharField(max_length=255)
    kind = models.CharField(max_length=32, help_text="Meta's type: text, image, button …")
    text = models.TextField(blank=True, help_text="Text, caption or tapped button, if kept.")
    # No foreign key: the message it answers may be deleted earlier.
    reply_to = models.UUIDField(
        null=True, blank=True, help_text="Our message that the person quoted or tapped on."
    )
    at = models.DateTimeField(help_text="When the person sent it.")
    received_at = models.DateTimeField()

    objects = TenantQuerySet["InboundMessage"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["phone_number", "provider_message_id"], name="inbound_message_once"
            ),
        ]
        indexes = [
            models.Index(fields=["org", "-received_at", "-id"], name="idx_inbound_list"),
            models.Index(fields=["contact", "-received_at"], name="idx_inbound_contact"),
            models.Index(
                fields=["reply_to"], name="idx_inbound_reply", condition=~Q(reply_to=None)
            ),
            models.Index(fields=["received_at"], name="idx_inbound_text", condition=~Q(text="")),
            models.Index(fields=["received_at"], name="idx_inbound_received"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of contact {self.contact_id}"
