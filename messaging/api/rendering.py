"""Messages as JSON without serializers, where requests are many; the keys are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from django.utils import timezone

from messaging import waiting as waiting_for
from messaging.intake import Accepted
from messaging.models import OutboundMessage
from orgs.shortcut import Answer

_PRIORITIES = {choice.value: choice.label for choice in OutboundMessage.Priority}


def message(row: OutboundMessage) -> dict[str, Any]:
    """Return what MessageSerializer shows of a message."""
    is_bsuid = row.to_is_bsuid
    # Holds are not asked for here: a new message is told only what it says itself.
    waiting = waiting_for.own_time(row, timezone.now())
    return {
        "id": row.id,
        "status": row.status,
        "channel": row.channel,
        "type": row.kind,
        "to": None if is_bsuid else row.to_recipient,
        "to_bsuid": row.to_recipient if is_bsuid else None,
        "from": row.phone_number.phone_number_id,
        "template": row.template_name,
        "category": row.category,
        "priority": _PRIORITIES[row.priority],
        "reference": row.reference,
        "metadata": row.metadata,
        "idempotency_key": row.idempotency_key,
        "attempt_count": row.attempt_count,
        "max_attempts": row.max_attempts,
        "scheduled_at": row.scheduled_at,
        "due_at": row.due_at,
        "expires_at": row.expires_at,
        "on_unknown": row.on_unknown,
        "hold_reason": waiting.reason if waiting else None,
        "next_look_at": waiting.until if waiting else None,
        "provider_message_id": row.provider_message_id,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "accepted_at": row.accepted_at,
        "sent_at": row.sent_at,
        "delivered_at": row.delivered_at,
        "read_at": row.read_at,
        "failed_at": row.failed_at,
        "pricing": row.pricing or None,
    }


def accepted(answer: Accepted) -> dict[str, Any]:
    """Return the message with what the client should know of how it was taken."""
    warnings = [{"code": item.code, "detail": item.detail} for item in answer.warnings]
    return {**message(answer.message), "warnings": warnings}


def json_answer(
    content: Any, *, status: int = 200, headers: Sequence[tuple[str, str]] = ()
) -> Answer:
    """Return the content as JSON; times in UTC end in Z, as everywhere in the API."""
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Answer(status, body, "application/json", headers)
