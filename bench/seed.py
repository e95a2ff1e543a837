"""Rows by the hundred thousand, made inside PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

# Sorts by time as the service's own ids do.
_AT = "(clock_timestamp() - %(days_ago)s * interval '1 day')"
_UUID7 = f"""encode(
    overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send((extract(epoch FROM {_AT}) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 'hex')::uuid"""

TEMPLATE = (
    '{"name": "order_update", "language": {"code": "en_US"}, "components": [{"type": "body", '
    '"parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "#1042"}]}]}'
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The phone numbers to send from, all of one organisation."""

    org: int
    ids: list[int]


def numbers(connection: psycopg.Connection, org: str = "acme") -> Numbers:
    """Return the connected numbers of an organisation."""
    rows = connection.execute(
        """SELECT number.org_id, number.id FROM messaging_phonenumber AS number
        JOIN orgs_organization AS org ON org.id = number.org_id
        WHERE org.org_id = %s ORDER BY number.id""",
        (org,),
    ).fetchall()
    return Numbers(rows[0][0], [row[1] for row in rows])


def contacts(connection: psycopg.Connection, of: Numbers, count: int) -> None:
    """Create people who have agreed to transactional messages."""
    connection.execute(
        """INSERT INTO consent_contact (org_id, phone, time_zone, created_at, updated_at)
        SELECT %s, '+1202' || lpad(n::text, 7, '0'), '', now(), now()
        FROM generate_series(2000000, 2000000 + %s - 1) AS n ON CONFLICT DO NOTHING""",
        (of.org, count),
    )
    connection.execute(
        """INSERT INTO consentement (org_id, contact_id, channel, purpose, status, source, proof,
            cancel_pending, decided_at, created_at, updated_at)
        SELECT org_id, id, 'WHATSAPP', 'transactional', 'GRANTED', 'import', '{}',
            false, now(), now(), now()
        FROM consent_contact ON CONFLICT DO NOTHING"""
    )


def messages(
    connection: psycopg.Connection,
    of: Numbers,
    count: int,
    *,
    status: str = "QUEUED",
    priority: int = 20,
    reference: str = "",
    days_ago: int = 0,
) -> None:
    """Create messages to the contacts in turn, from the numbers in turn; all due if queued."""
    connection.execute(
        f"""WITH people AS (
            SELECT id, phone, row_number() OVER (ORDER BY id) - 1 AS place
            FROM consent_contact WHERE org_id = %(org)s
        ), size AS (SELECT count(*) AS people FROM people)
        INSERT INTO outbound_message (id, org_id, phone_number_id, contact_id, to_recipient,
            channel, kind, template_name, template_language, payload, reply_to, category, purpose,
            priority, status, due_at, expires_at, attempt_count, max_attempts,
            last_attempt_number, provider_message_id, error_code, error_message,
            request_fingerprint, reference, metadata, on_unknown, created_at, updated_at)
        SELECT {_UUID7}, %(org)s, (%(numbers)s::bigint[])[1 + n %% %(senders)s], people.id,
            people.phone, 'WHATSAPP', 'template', 'order_update', 'en_US', %(payload)s::jsonb, '',
            'utility', 'transactional', %(priority)s::smallint, %(status)s::text,
            CASE WHEN %(status)s::text = 'QUEUED' THEN clock_timestamp() END,
            now() + interval '7 days', 0, 5, 0, '', '', '', md5(n::text),
            %(reference)s::text, '{{}}', '',
            {_AT}, {_AT}
        FROM generate_series(0, %(count)s - 1) AS n, size
        JOIN people ON true WHERE people.place = n %% size.people""",
        {
            "org": of.org,
            "numbers": of.ids,
            "senders": len(of.ids),
            "payload": TEMPLATE,
            "priority": priority,
            "status": status,
            "reference": reference,
            "days_ago": days_ago,
            "count": count,
        },
    )


def accepted(connection: psycopg.Connection, of: Numbers, count: int) -> None:
    """Create messages whose call Meta has accepted; the wamid is ``wamid.`` and our id."""
    messages(connection, of, count, status="SENT")
    connection.execute(
        """INSERT INTO outbound_attempt (message_id, attempt_number, claim_id, outcome, charged,
            started_at, finished_at, provider_message_id, error_code, error_message, trace_id,
            excerpt, receipts)
        SELECT id, 1, gen_random_uuid(), 'ACCEPTED', true, now(), now(), 'wamid.' || id, '', '',
            '', '', '' FROM outbound_message"""
    )


def history(connection: psycopg.Connection, of: Numbers, count: int, *, days_ago: int = 0) -> None:
    """Create messages that have been sent, with a line of timeline each.

    Of an empty table PostgreSQL plans to read all, also once it has grown.
    """
    messages(connection, of, count, status="SENT", days_ago=days_ago)
    connection.execute(
        """INSERT INTO message_event (message_id, org_id, at, recorded_at, kind, from_status,
            to_status, cause, code, actor, reason)
        SELECT id, org_id, created_at, created_at, 'accepted', '', 'QUEUED', 'intake', '', '', ''
        FROM outbound_message WHERE status = 'SENT'"""
    )


def settle(connection: psycopg.Connection) -> None:
    """Let the planner know the tables, and the disk come to rest."""
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")
