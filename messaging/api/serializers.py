"""What the API shows of a message."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from django.urls import reverse
from rest_framework import serializers

from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.queries import Action
from messaging.states import Status
from messaging.waiting import Board, Waiting
from orgs import database


class AttemptSerializer(serializers.ModelSerializer[OutboundAttempt]):
    """One call to the provider."""

    class Meta:
        model = OutboundAttempt
        fields = [
            "attempt_number",
            "outcome",
            "charged",
            "started_at",
            "finished_at",
            "duration_ms",
            "http_status",
            "provider_message_id",
            "error_code",
            "error_message",
            "trace_id",
        ]


class EventSerializer(serializers.ModelSerializer[MessageEvent]):
    """One line of the timeline."""

    class Meta:
        model = MessageEvent
        fields = [
            "at",
            "kind",
            "from_status",
            "to_status",
            "cause",
            "attempt_number",
            "code",
            "actor",
            "reason",
        ]


class MessageSerializer(serializers.ModelSerializer[OutboundMessage]):
    """A message without its content, as lists show it."""

    to = serializers.SerializerMethodField()
    to_bsuid = serializers.SerializerMethodField()
    from_ = serializers.CharField(source="phone_number.phone_number_id")
    type = serializers.CharField(source="kind")
    template = serializers.CharField(source="template_name")
    priority = serializers.CharField(source="get_priority_display")
    pricing = serializers.SerializerMethodField(
        help_text="How Meta charges it: model/type/category, such as PMP/regular/marketing; null "
        "until a status tells."
    )
    hold_reason = serializers.SerializerMethodField(
        help_text="Why a queued message is not going yet; null when it goes."
    )
    next_look_at = serializers.SerializerMethodField(help_text="When that is next looked at.")

    class Meta:
        model = OutboundMessage
        fields = [
            "id",
            "status",
            "channel",
            "type",
            "to",
            "to_bsuid",
            "from_",
            "template",
            "category",
            "priority",
            "reference",
            "metadata",
            "idempotency_key",
            "attempt_count",
            "max_attempts",
            "scheduled_at",
            "due_at",
            "expires_at",
            "on_unknown",
            "hold_reason",
            "next_look_at",
            "provider_message_id",
            "error_code",
            "error_message",
            "created_at",
            "updated_at",
            "accepted_at",
            "sent_at",
            "delivered_at",
            "read_at",
            "failed_at",
            "pricing",
        ]

    def get_fields(self) -> dict[str, Any]:
        """Give ``from``, which Python cannot name, its name."""
        fields = super().get_fields()
        return {("from" if name == "from_" else name): field for name, field in fields.items()}

    def get_pricing(self, message: OutboundMessage) -> str | None:
        """Return how Meta charges it, if it has said so."""
        return message.pricing or None

    def get_hold_reason(self, message: OutboundMessage) -> str | None:
        """Return the cause of the hold, or why it is due later."""
        waiting = self._waiting(message)
        return waiting.reason if waiting else None

    def get_next_look_at(self, message: OutboundMessage) -> datetime | None:
        """Return when it is next looked at, if that is known."""
        waiting = self._waiting(message)
        return waiting.until if waiting else None

    def _waiting(self, message: OutboundMessage) -> Waiting | None:
        if message.status != Status.QUEUED:
            return None
        # Asked for once per response, and only if a message in it is queued.
        context = cast(dict[str, Any], self.context)
        if "board" not in context:
            context["board"] = Board.at(database.now())
        return cast(Board, context["board"]).of(message)

    def get_to(self, message: OutboundMessage) -> str | None:
        """Return the phone number in E.164, or null."""
        return None if message.to_is_bsuid else message.to_recipient

    def get_to_bsuid(self, message: OutboundMessage) -> str | None:
        """Return the business-scoped user id, or null."""
        return message.to_recipient if message.to_is_bsuid else None


class WarningSerializer(serializers.Serializer[Any]):
    """What the client should know of a message that was taken all the same."""

    code = serializers.CharField(
        help_text="templates_not_synced, template_paused or recipient_suspect."
    )
    detail = serializers.CharField()


class AcceptedSerializer(MessageSerializer):
    """A message as the request that made it is answered."""

    warnings = WarningSerializer(many=True)

    class Meta(MessageSerializer.Meta):
        fields = [*MessageSerializer.Meta.fields, "warnings"]


class MessageDetailSerializer(MessageSerializer):
    """A message with its content, attempts and timeline."""

    content = serializers.JSONField(source="payload")
    attempts = AttemptSerializer(many=True)
    timeline = EventSerializer(source="events", many=True)

    class Meta(MessageSerializer.Meta):
        fields = [*MessageSerializer.Meta.fields, "content", "attempts", "timeline"]


class ReasonSerializer(serializers.Serializer[Any]):
    """Why something is done, for the audit trail."""

    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class CodeCountSerializer(serializers.Serializer[Any]):
    """An error code among the dead letters."""

    code = serializers.CharField()
    count = serializers.IntegerField()
    title = serializers.CharField()
    advice = serializers.CharField()
    campaign = serializers.BooleanField()


class TrendSerializer(serializers.Serializer[Any]):
    """Dead letters that failed in the last 24 hours, and in the 24 hours before."""

    last_24h = serializers.IntegerField()
    previous_24h = serializers.IntegerField()
    change = serializers.IntegerField(help_text="Above 0: it gets worse.")


class DlqActionSerializer(serializers.Serializer[Any]):
    """What should be done about some of the dead letters."""

    text = serializers.CharField()
    code = serializers.CharField(help_text="Empty: not about one code.")
    count = serializers.IntegerField()
    requeue = serializers.BooleanField(help_text="Sending them again is likely to help.")
    link = serializers.SerializerMethodField(help_text="The messages, as a path of this API.")

    def get_link(self, action: Action) -> str:
        """Return the list, filtered by the code."""
        query = f"?{urlencode({'error_code': action.code})}" if action.code else ""
        return f"{reverse('dlq-list')}{query}"


class DlqReportSerializer(serializers.Serializer[Any]):
    """The dead letter queue in numbers."""

    total = serializers.IntegerField()
    campaign = serializers.IntegerField()
    by_channel = serializers.DictField(child=serializers.IntegerField())
    top_codes = CodeCountSerializer(many=True)
    oldest_failed_at = serializers.DateTimeField(allow_null=True)
    trend = TrendSerializer()
    actions = DlqActionSerializer(many=True)
    generated_at = serializers.DateTimeField()
