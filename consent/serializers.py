"""What the API takes and shows of consents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.utils import timezone
from rest_framework import serializers

from consent import quiet
from consent.models import Channel, Consent, ConsentEvent, Decision, Purpose, Source
from consent.phones import to_e164
from orgs.problems import FieldProblem, field_problems

# How far a client's clock may be ahead of ours.
CLOCKS_APART = timedelta(minutes=5)
# Bytes of a proof as JSON: the text shown, and where and when it was.
MOST_PROOF = 10_000
# What is wrong is told without repeating it: it may be a phone number in the wrong place.
_CHOICE: dict[str, Any] = {"invalid_choice": "Not one of the known values."}


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
    channel = serializers.ChoiceField(
        choices=Channel.choices, default=Channel.WHATSAPP, error_messages=_CHOICE
    )
    purpose = serializers.ChoiceField(choices=Purpose.choices, error_messages=_CHOICE)
    status = serializers.ChoiceField(
        choices=Decision.choices, default=Decision.GRANTED, error_messages=_CHOICE
    )
    source = serializers.ChoiceField(  # type: ignore[assignment]  # the stubs know it as an attribute
        choices=[(source, source.label) for source in (Source.API, Source.IMPORT, Source.PERSON)],
        default=Source.API,
        error_messages=_CHOICE,
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    occurred_at = serializers.DateTimeField(
        required=False, help_text="When the person decided; now by default."
    )
    proof = serializers.DictField(
        required=False, default=dict, help_text="Text shown, time, IP, reference: what proves it."
    )

    time_zone = serializers.CharField(
        required=False,
        max_length=64,
        help_text="Where the person is, such as America/Sao_Paulo; from the number by default.",
    )

    def validate_time_zone(self, value: str) -> str:
        """Refuse a zone nobody knows."""
        if value not in quiet.known_zones():
            text = "No such time zone."
            raise serializers.ValidationError(text, code="unknown_zone")
        return value

    def validate_proof(self, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the database cannot keep, and more than a proof needs."""
        try:
            written = orjson.dumps(value)
        except TypeError:
            text = "It holds a number or text that cannot be kept."
            raise serializers.ValidationError(text, code="invalid") from None
        if len(written) > MOST_PROOF:
            text = f"A proof has at most {MOST_PROOF} bytes."
            raise serializers.ValidationError(text, code="too_long")
        # An escaped backslash before it would make it the letters u0000.
        if b"\\u0000" in written.replace(b"\\\\", b""):
            text = "Null characters are not allowed."
            raise serializers.ValidationError(text, code="null_characters_not_allowed")
        return value

    def validate_phone(self, value: str) -> str:
        """Bring it into E.164."""
        try:
            return to_e164(value)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid_phone") from None

    def validate_occurred_at(self, value: datetime) -> datetime:
        """Refuse the future: such a decision would outlive every later STOP."""
        if value > timezone.now() + CLOCKS_APART:
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


class ConsentBulkSerializer(serializers.Serializer[Any]):
    """Up to 1,000 decisions, each judged by itself."""

    consents = RecordConsentSerializer(many=True)


class ConsentBulkResultSerializer(serializers.Serializer[Any]):
    """What became of one decision: `consent` or `problem`."""

    status = serializers.IntegerField(
        help_text="201 when it was recorded, 200 when it was known, else as a single request."
    )
    consent = ConsentSerializer(required=False)
    problem = serializers.DictField(required=False)


class ConsentBulkResultsSerializer(serializers.Serializer[Any]):
    """A result for each decision, in order."""

    results = ConsentBulkResultSerializer(many=True)


def judge(given: Iterable[Any]) -> list[dict[str, Any] | list[FieldProblem]]:
    """Return for each decision what RecordConsentSerializer makes of it, or what is wrong.

    One serializer for all: making one costs as much as judging.
    """
    serializer = RecordConsentSerializer()
    judged: list[dict[str, Any] | list[FieldProblem]] = []
    for item in given:
        try:
            judged.append(serializer.run_validation(item))
        except serializers.ValidationError as error:
            judged.append(field_problems(error.get_full_details()))
    return judged


class RevokeSerializer(serializers.Serializer[Any]):
    """Why a consent is taken back."""

    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
