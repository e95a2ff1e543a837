"""The everyday answer: the provider has taken the message, and nothing else has happened to it.

What becomes of such a message is known without reading it. Whatever stands otherwise than its
claim left it, as when a status was faster than the answer, is left to ``transitions``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection

from messaging import counting
from messaging.candidates import Claimed
from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.providers.base import Outcome, Result
from messaging.states import Cause, Status
from orgs import database
from orgs.database import Rows

Answered = tuple[Claimed, Result]


class OvertakenError(Exception):
    """An attempt was written meanwhile though its message was not: all must be looked at."""


def write(answers: Sequence[Answered], now: datetime) -> set[uuid.UUID]:
    """Move to SENT the messages that are as their claim left them; return which.

    Besides the claim this is the one move made outside ``transitions.apply``, by the same table:
    SENDING → SENT. Every result is ACCEPTED. It locks in id order, as ``transitions.lock``
    does. Needs a transaction, which OvertakenError must undo.
    """
    rows = _rows(sorted(answers, key=lambda answer: answer[0].pk))
    stamp = database.field_of(OutboundMessage, "updated_at").get_db_prep_value(now, connection)
    found = database.run_with_rows(_MESSAGES, rows, leading=[stamp] * 3)
    moved = {pk if isinstance(pk, uuid.UUID) else uuid.UUID(pk) for (pk,) in found}  # SQLite: text
    if len(moved) < len(answers):
        rows = _rows([answer for answer in answers if answer[0].pk in moved])
    if moved:
        attempts = database.run_with_rows(_ATTEMPTS, rows, leading=[stamp])
        if len(attempts) < len(moved):
            raise OvertakenError
        database.run_with_rows(_EVENTS, rows, leading=[stamp] * 2)
        counting.sent_from_claim(
            message.channel for message, _result in answers if message.pk in moved
        )
    return moved


def _rows(answers: Sequence[Answered]) -> Rows:
    return Rows(_FIELDS, [_row(message, result) for message, result in answers])


def _row(message: Claimed, result: Result) -> Mapping[str, object]:
    return {
        "id": message.pk,
        "org_id": message.org_id,
        "claim_id": message.claim_id,
        "attempt_number": message.last_attempt_number,
        "provider_message_id": result.provider_message_id[:255],
        "duration_ms": result.duration_ms,
        "http_status": result.http_status,
        "trace_id": result.trace_id[:64],
    }


_FIELDS = {
    "id": database.field_of(OutboundMessage, "id"),
    "org_id": database.field_of(OutboundMessage, "org_id"),
    "claim_id": database.field_of(OutboundMessage, "claim_id"),
    "attempt_number": database.field_of(OutboundAttempt, "attempt_number"),
    "provider_message_id": database.field_of(OutboundAttempt, "provider_message_id"),
    "duration_ms": database.field_of(OutboundAttempt, "duration_ms"),
    "http_status": database.field_of(OutboundAttempt, "http_status"),
    "trace_id": database.field_of(OutboundAttempt, "trace_id"),
}
# An erased person has no recipient: then nothing that names them may be written. What a row must
# look like stands in a CASE, which hides it from PostgreSQL's planner: from figures taken while
# nothing was under way it would begin with "the few" messages in SENDING, and compare each of
# them with each answer.
_MESSAGES = f"""
UPDATE outbound_message SET status = '{Status.SENT}', claim_id = NULL, lease_expires_at = NULL,
    attempt_count = outbound_message.attempt_count + 1,
    provider_message_id = fresh.provider_message_id, error_code = '', error_message = '',
    accepted_at = %s, sent_at = %s, updated_at = %s
FROM {{source}}
WHERE outbound_message.id = fresh.id AND CASE WHEN outbound_message.claim_id = fresh.claim_id
    AND outbound_message.status = '{Status.SENDING}'
    AND outbound_message.last_attempt_number = fresh.attempt_number
    AND outbound_message.sent_at IS NULL AND outbound_message.to_recipient <> ''
    AND outbound_message.attempt_count < outbound_message.max_attempts THEN true ELSE false END
RETURNING outbound_message.id"""  # noqa: S608 - built from constants
_ATTEMPTS = f"""
UPDATE outbound_attempt SET outcome = '{Outcome.ACCEPTED}', charged = true, finished_at = %s,
    duration_ms = fresh.duration_ms, http_status = fresh.http_status,
    provider_message_id = fresh.provider_message_id, trace_id = fresh.trace_id
FROM {{source}}
WHERE outbound_attempt.message_id = fresh.id
    AND outbound_attempt.attempt_number = fresh.attempt_number
    AND CASE WHEN outbound_attempt.outcome = '{OutboundAttempt.STARTED}' THEN true ELSE false END
RETURNING outbound_attempt.id"""  # noqa: S608 - as above
_EVENTS = f"""
INSERT INTO {MessageEvent._meta.db_table} (message_id, org_id, at, recorded_at, kind, from_status,
    to_status, cause, attempt_number, code, actor, reason)
SELECT fresh.id, fresh.org_id, %s, %s, '{Outcome.ACCEPTED.lower()}', '{Status.SENDING}',
    '{Status.SENT}', '{Cause.RESULT}', fresh.attempt_number, '', '', ''
FROM {{source}}"""  # noqa: S608 - as above
