"""A month of messages as an installation at work has them, made inside PostgreSQL."""

from __future__ import annotations

import psycopg

from bench import seed

# In one statement; more would only make the transaction long.
STEP = 250_000
TEMPLATES = 40

_ID = """encode(
    overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 'hex')::uuid"""

# Of a thousand: 925 delivered, 30 sent, 25 failed, 8 cancelled, 11 queued, 1 on its way.
_MESSAGES = f"""
WITH people AS (
    SELECT id, phone, row_number() OVER (ORDER BY id) - 1 AS place
    FROM consent_contact WHERE org_id = %(org)s
), size AS (SELECT count(*) AS people FROM people), plan AS (
    SELECT n, now() - interval '30 days' * (1 - n / %(total)s::float) AS at,
        CASE WHEN n %% 1000 < 925 THEN 'DELIVERED' WHEN n %% 1000 < 955 THEN 'SENT'
            WHEN n %% 1000 < 980 THEN 'FAILED' WHEN n %% 1000 < 988 THEN 'CANCELLED'
            WHEN n %% 1000 < 999 THEN 'QUEUED' ELSE 'SENDING' END AS status,
        (ARRAY[10, 20, 20, 30])[1 + n %% 4] AS priority,
        (ARRAY['131026', '131049', '131047', '132000', '131053'])[1 + n %% 5] AS code
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
)
INSERT INTO outbound_message (id, org_id, phone_number_id, contact_id, to_recipient, channel,
    kind, template_name, template_language, payload, reply_to, category, purpose, priority,
    status, due_at, expires_at, attempt_count, max_attempts, last_attempt_number,
    provider_message_id, error_code, error_message, request_fingerprint, reference, metadata,
    on_unknown, claim_id, lease_expires_at, created_at, updated_at, accepted_at, sent_at,
    delivered_at, failed_at)
SELECT {_ID}, %(org)s, (%(numbers)s::bigint[])[1 + n %% %(senders)s], people.id, people.phone,
    'WHATSAPP', 'template', 'template_' || n %% %(templates)s, 'en_US', %(payload)s::jsonb, '',
    'utility', 'transactional', priority, status,
    CASE WHEN status = 'QUEUED' THEN now() + interval '1 day' END, at + interval '60 days',
    CASE WHEN status IN ('QUEUED', 'CANCELLED') THEN 0 ELSE 1 END, 5,
    CASE WHEN status IN ('QUEUED', 'CANCELLED') THEN 0 ELSE 1 END,
    CASE WHEN status IN ('SENT', 'DELIVERED') THEN 'wamid.' || n ELSE '' END,
    CASE WHEN status = 'FAILED' THEN code ELSE '' END, '', md5(n::text), 'order-' || n, '{{}}', '',
    CASE WHEN status = 'SENDING' THEN gen_random_uuid() END,
    CASE WHEN status = 'SENDING' THEN now() + interval '1 minute' END, at, at,
    CASE WHEN status IN ('SENT', 'DELIVERED') THEN at + interval '1 second' END,
    CASE WHEN status IN ('SENT', 'DELIVERED') THEN at + interval '1 second' END,
    CASE WHEN status = 'DELIVERED' THEN at + interval '1 second' * (1 + n %% 30) END,
    CASE WHEN status = 'FAILED' THEN at + interval '2 seconds' END
FROM plan, size JOIN people ON true WHERE people.place = n %% size.people
"""
_ATTEMPTS = """
INSERT INTO outbound_attempt (message_id, attempt_number, claim_id, outcome, charged, started_at,
    finished_at, duration_ms, http_status, provider_message_id, error_code, error_message,
    trace_id, excerpt, receipts)
SELECT id, 1, id, CASE WHEN status = 'FAILED' THEN 'REJECTED' ELSE 'ACCEPTED' END, true,
    created_at, created_at, 200, 200, provider_message_id, error_code, '', '', '', ''
FROM outbound_message WHERE last_attempt_number = 1
"""
# Of the last days only: that is what is counted.
_EVENTS = """
INSERT INTO message_event (message_id, org_id, at, recorded_at, kind, from_status, to_status,
    cause, attempt_number, code, actor, reason)
SELECT id, org_id, step.at, step.at, lower(step.new), step.old, step.new, step.cause, 1,
    CASE WHEN step.new = 'FAILED' THEN error_code ELSE '' END, '', ''
FROM outbound_message CROSS JOIN LATERAL (VALUES
    (created_at, '', 'QUEUED', 'intake'),
    (created_at, 'QUEUED', 'SENDING', 'claim'),
    (sent_at, 'SENDING', 'SENT', 'result'),
    (delivered_at, 'SENT', 'DELIVERED', 'receipt'),
    (failed_at, 'SENDING', 'FAILED', 'result')
) AS step (at, old, new, cause)
WHERE created_at > now() - interval '2 days' AND step.at IS NOT NULL ORDER BY step.at
"""
_NEIGHBOUR = """
INSERT INTO orgs_organization (org_id, name, is_active, on_unknown, created_at, updated_at)
VALUES ('globex', 'Globex', true, '', now(), now());
UPDATE outbound_message SET org_id = (SELECT id FROM orgs_organization WHERE org_id = 'globex')
WHERE id IN (SELECT id FROM outbound_message ORDER BY id LIMIT 500)
"""


def fill(connection: psycopg.Connection, of: seed.Numbers, count: int) -> None:
    """Create the messages with their attempts, and the timelines of the last days.

    The oldest five hundred are of another organisation, which has sent nothing since.
    """
    # Millions of rows that are right by construction: their keys need no check.
    connection.execute("SET session_replication_role = replica")
    for first in range(0, count, STEP):
        connection.execute(
            _MESSAGES,
            {
                "org": of.org,
                "numbers": of.ids,
                "senders": len(of.ids),
                "templates": TEMPLATES,
                "payload": seed.TEMPLATE,
                "total": count,
                "first": first,
                "last": min(first + STEP, count) - 1,
            },
        )
    connection.execute(_ATTEMPTS)
    connection.execute(_EVENTS)
    connection.execute(_NEIGHBOUR)
    seed.settle(connection)
