"""What the API takes and shows of consents."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rest_framework import serializers

from consent.contacts import Recipient
from consent.models import Channel, Consent, ConsentEvent, Decision, Purpose, Source
from consent.phones import to_e164
from orgs import database

# How far a client's clock may be ahead of ours.
CLOCKS_APART = timedelta(minutes=5)


class ConsentEventSerializer(serializers.ModelSerializer[ConsentEvent]):
    """One decision of the history."""

    class Meta:
        model = ConsentEvent
        fields = ["status", "expires_at", "source", "actor", "proof", "occurred_at", "recorded_at"]


class ConsentSerializer(serializers.ModelSerializer[Consent]):
    """The present answer of one person."""

    phone = serializers.CharField(source="contact.phone", allow_null=True)
    bsuid = serializers.CharField(source="contact.bsuid", allow_null=True)

    class Meta:
        model = Consent
        fields = [
            "id",
            "phone",
            "bsuid",
            "channel",
            "purpose",
            "status",
            "expires_at",
            "source",
            "proof",
            "decided_at",
            "created_at",
            "updated_at",
        ]


class ConsentDetailSerializer(ConsentSerializer):
    """The present answer with its history, oldest first."""

    history = ConsentEventSerializer(source="events", many=True)

    class Meta(ConsentSerializer.Meta):
        fields = [*ConsentSerializer.Meta.fields, "history"]


class RecordConsentSerializer(serializers.Serializer[Any]):
    """A decision to record."""

    phone = serializers.CharField(required=False, max_length=32, help_text="E.164 with +.")
    bsuid = serializers.CharField(required=False, max_length=140)
    channel = serializers.ChoiceField(choices=Channel.choices, default=Channel.WHATSAPP)
    purpose = serializers.ChoiceField(choices=Purpose.choices)
    status = serializers.ChoiceField(choices=Decision.choices, default=Decision.GRANTED)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # the stubs know it as an attribute
        choices=[(source, source.label) for source in (Source.API, Source.IMPORT, Source.PERSON)],
        default=Source.API,
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    occurred_at = serializers.DateTimeField(
        required=False, help_text="When the person decided; now by default."
    )
    proof = serializers.DictField(
        required=False, default=dict, help_text="Text shown, time, IP, reference: what proves it."
    )

    def validate_phone(self, value: str) -> str:
        """Bring it into E.164."""
        try:
            return to_e164(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid_phone") from None

    def validate_occurred_at(self, value: datetime) -> datetime:
        """Refuse the future: such a decision would outlive every later STOP."""
        if value > database.now() + CLOCKS_APART:
            text = "It lies in the future."
            raise serializers.ValidationError(text, code="future")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for somebody the decision is about."""
        if not attrs.get("phone") and not attrs.get("bsuid"):
            text = "Give phone, bsuid or both."
            raise serializers.ValidationError({"phone": text}, code="required")
        granted = attrs.get("status") == Decision.GRANTED
        if granted and attrs.get("source") == Source.PERSON and not attrs.get("proof"):
            text = "Say what the person said, and where: their own word opens what a STOP closed."
            raise serializers.ValidationError({"proof": text}, code="required")
        return attrs

    def recipient(self) -> Recipient:
        """Return whom the decision is about."""
        data = self.validated_data
        return Recipient(phone=data.get("phone"), bsuid=data.get("bsuid"))


class RevokeSerializer(serializers.Serializer[Any]):
    """Why a consent is taken back."""

    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
