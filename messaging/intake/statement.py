"""Accepting by one statement, for PostgreSQL: all facts, the inserts and the timeline."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from consent import contacts, ledger
from messaging import counting, windows
from messaging.intake.requests import (
    Facts,
    Finding,
    Submission,
    first_wait,
    longest_age,
    message_of,
)
from messaging.models import OutboundMessage, PhoneNumber
from messaging.states import Cause, Status
from orgs import database
from orgs.ids import uuid7

# Each question is a lateral one with a limit: a look into an index for each request, whatever
# the planner guesses about the size of the batch.
_ACCEPT = """
WITH input AS (
    SELECT statement_timestamp() AS now,
        make_interval(secs => %s) AS first_wait, make_interval(secs => %s) AS longest,
        %s::smallint AS max_attempts
), asked AS MATERIALIZED (
    SELECT input.*, given.*, greatest(given.scheduled_at, now) AS starts_at
    FROM input, json_to_recordset(%s::json) AS given (
        place int, id uuid, org_id bigint, actor text,
        sender text, phone text, bsuid text, to_recipient text,
        channel text, kind text, template_name text, template_language text, payload jsonb,
        reply_to text, category text, purpose text, priority smallint,
        scheduled_at timestamptz, expires_at timestamptz, ttl_seconds int, on_unknown text,
        idempotency_key text, fingerprint text, reference text, metadata jsonb,
        needs_window boolean
    )
), senders AS MATERIALIZED (
    SELECT id, org_id, phone_number_id, count(*) OVER (PARTITION BY org_id) AS many
    FROM messaging_phonenumber
    WHERE org_id = ANY (ARRAY (SELECT DISTINCT org_id FROM asked)) AND is_active
), known AS MATERIALIZED (
    SELECT asked.*,
        coalesce(asked.expires_at, starts_at + make_interval(secs => asked.ttl_seconds))
            AS ends_at,
        sender.id AS number_id, sender.phone_number_id,
        {person} AS contact_id, earlier.id IS NOT NULL AS taken
    FROM asked
    LEFT JOIN LATERAL (
        SELECT senders.id, senders.phone_number_id FROM senders
        WHERE senders.org_id = asked.org_id
            AND (senders.phone_number_id = asked.sender OR (asked.sender = '' AND many = 1))
        LIMIT 1
    ) AS sender ON true
    LEFT JOIN LATERAL (
        SELECT id FROM outbound_message
        WHERE org_id = asked.org_id AND idempotency_key = asked.idempotency_key
        LIMIT 1
    ) AS earlier ON true
), judged AS MATERIALIZED (
    SELECT known.*, coalesce(consent.answer, %s) AS consent,
        opened.contact_id IS NOT NULL AS window_open
    FROM known
    LEFT JOIN LATERAL (
        SELECT consents.answer FROM ({consents}) AS consents
        WHERE consents.contact_id = known.contact_id
            AND consents.channel = known.channel AND consents.purpose = known.purpose
        LIMIT 1
    ) AS consent ON true
    LEFT JOIN LATERAL (
        SELECT windows.contact_id FROM ({windows}) AS windows
        WHERE windows.contact_id = known.contact_id
            AND windows.phone_number_id = known.number_id
        LIMIT 1
    ) AS opened ON true
), fresh AS (
    INSERT INTO outbound_message (id, org_id, phone_number_id, contact_id, to_recipient,
        channel, kind, template_name, template_language, payload, reply_to, category, purpose,
        priority, scheduled_at, on_unknown, status, due_at, expires_at, attempt_count,
        max_attempts, last_attempt_number, provider_message_id, error_code, error_message,
        idempotency_key, request_fingerprint, reference, metadata, created_at, updated_at)
    SELECT id, org_id, number_id, contact_id, to_recipient,
        channel, kind, template_name, template_language, payload, reply_to, category, purpose,
        priority, scheduled_at, on_unknown, %s, starts_at + first_wait, ends_at, 0,
        max_attempts, 0, '', '', '',
        idempotency_key, fingerprint, reference, metadata, now, now
    FROM judged
    WHERE NOT taken AND number_id IS NOT NULL AND consent = %s
        AND (window_open OR NOT needs_window)
        AND starts_at <= now + longest AND starts_at < ends_at
    -- In this order, two batches with the same keys wait for each other, but never in a circle.
    ORDER BY org_id, idempotency_key
    ON CONFLICT (org_id, idempotency_key) DO NOTHING
    RETURNING id, org_id, channel, status, created_at
), noted AS (
    INSERT INTO message_event (message_id, org_id, at, recorded_at, kind, from_status,
        to_status, cause, code, actor, reason)
    SELECT fresh.id, fresh.org_id, created_at, created_at, 'accepted', '', status, %s, '',
        asked.actor, ''
    FROM fresh JOIN asked ON asked.id = fresh.id
), counted AS (
    INSERT INTO metric_tally AS kept (name, labels, shard, value, updated_at)
    SELECT series.name, series.labels, pg_backend_pid(), count(*), max(created_at)
    FROM fresh JOIN json_to_recordset(%s::json) AS series (channel text, name text, labels text)
        ON series.channel = fresh.channel
    GROUP BY series.name, series.labels
    ON CONFLICT (name, labels, shard) DO UPDATE
    SET value = kept.value + excluded.value, updated_at = excluded.updated_at
)
SELECT judged.now,
    coalesce((SELECT max(many) FROM senders WHERE senders.org_id = judged.org_id), 0),
    judged.number_id,
    judged.phone_number_id, judged.contact_id, judged.consent, judged.window_open,
    judged.taken, fresh.id IS NOT NULL,
    (SELECT suspect_at IS NOT NULL FROM consent_contact WHERE id = judged.contact_id)
FROM judged LEFT JOIN fresh ON fresh.id = judged.id
ORDER BY judged.place
"""


def insert(submissions: Sequence[Submission]) -> list[Finding]:
    """Insert what nothing stands against, in one statement, whatever the number of requests.

    A request whose key is being used by another transaction waits for its end; of two with the
    same key only one is inserted.
    """
    ids = [uuid7() for _ in submissions]
    given = [_given(place, ids[place], asked) for place, asked in enumerate(submissions)]
    sql, embedded = _statement()
    rows = database.run_planned(
        sql,
        [
            *(first_wait().total_seconds(), longest_age().total_seconds()),
            *(len(settings.OUTBOUND_RETRY_SCHEDULE_SECONDS), orjson.dumps(given).decode()),
            *embedded,
        ],
    )
    numbers: dict[int, PhoneNumber] = {}
    return [
        _finding(asked, message_id, row, numbers)
        for asked, message_id, row in zip(submissions, ids, rows, strict=True)
    ]


@cache
def _statement() -> tuple[str, tuple[Any, ...]]:
    """Return the statement and its constant parameters, which follow those of the call."""
    at = database.StatementTime()
    consents, consent_parameters = database.compiled(ledger.answers(at))
    open_windows, window_parameters = database.compiled(windows.open_at(at))
    sql = _ACCEPT.format(person=contacts.MATCH, consents=consents, windows=open_windows)
    return database.numbered(sql), (
        ledger.MISSING,
        *consent_parameters,
        *window_parameters,
        *(Status.QUEUED.value, ledger.ALLOWED, Cause.INTAKE.value),
        orjson.dumps(_series()).decode(),
    )


def _series() -> list[dict[str, str]]:
    """Return the series that new messages of each channel count in."""
    return [
        {"channel": channel, "name": line.name, "labels": line.labels}
        for channel in OutboundMessage.Channel.values
        for line in counting.accepted_lines(channel, 1)
    ]


def _given(place: int, message_id: uuid.UUID, asked: Submission) -> dict[str, Any]:
    request = asked.request
    template_name, template_language = request.template
    return {
        "place": place,
        "id": message_id,
        "org_id": asked.org.pk,
        "actor": asked.actor,
        "sender": request.sender,
        "phone": request.recipient.phone,
        "bsuid": request.recipient.bsuid,
        "to_recipient": request.to,
        "channel": request.channel,
        "kind": request.kind,
        "template_name": template_name,
        "template_language": template_language,
        "payload": request.content,
        "reply_to": request.reply_to,
        "category": request.category,
        "purpose": request.purpose,
        "priority": request.priority,
        "scheduled_at": request.scheduled_at,
        "expires_at": request.expires_at,
        "ttl_seconds": int(request.lifetime.total_seconds()),
        "on_unknown": request.on_unknown,
        "idempotency_key": request.idempotency_key,
        "fingerprint": request.fingerprint,
        "reference": request.reference,
        "metadata": request.metadata,
        "needs_window": windows.needs_window(request.kind),
    }


def _finding(
    asked: Submission,
    message_id: uuid.UUID,
    row: tuple[Any, ...],
    numbers: dict[int, PhoneNumber],
) -> Finding:
    now, senders, number_id, phone_number_id, contact_id, consent, is_open, *others = row
    taken, is_new, is_suspect = others
    if number_id is not None and number_id not in numbers:
        # Only what a message shows of its number; the rest would be read when asked for.
        numbers[number_id] = PhoneNumber.from_db(
            DEFAULT_DB_ALIAS,
            ["id", "org_id", "phone_number_id"],
            [number_id, asked.org.pk, phone_number_id],
        )
    facts = Facts(
        now,
        senders,
        numbers.get(number_id),
        contact_id,
        consent,
        window_open=is_open,
        is_suspect=bool(is_suspect),
    )
    message = message_of(asked.org, asked.request, facts, message_id) if is_new else None
    return Finding(facts, message, taken=taken)
