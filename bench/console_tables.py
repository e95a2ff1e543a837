"""The tables beside the messages as an installation at work has them, made inside PostgreSQL."""

from __future__ import annotations

import psycopg

from bench import seed

OPERATIONS = 2_000
INCIDENTS = 10_000

# People who were never written to lie between those who were.
_PEOPLE = """
INSERT INTO consent_contact (org_id, phone, time_zone, created_at, updated_at)
SELECT %(org)s, '+1303' || lpad(n::text, 8, '0'), '', now(), now()
FROM generate_series(1, %(count)s) AS n;
INSERT INTO consentement (org_id, contact_id, channel, purpose, status, source, proof,
    cancel_pending, decided_at, created_at, updated_at)
SELECT org_id, id, 'WHATSAPP', 'marketing',
    CASE WHEN id %% 50 = 0 THEN 'REVOKED' ELSE 'GRANTED' END, 'import', '{}', false,
    now(), now(), now()
FROM consent_contact
"""
_TRAIL = """
INSERT INTO orgs_auditevent (at, org_id, actor, action, target, reason)
SELECT now() - interval '365 days' * (1 - n / %(count)s::float), %(org)s, 'user:' || n %% 40,
    (ARRAY['message.requeued', 'consent.revoked', 'hold.lifted', 'contact.unmasked'])[1 + n %% 4],
    'message:' || n, 'as agreed'
FROM generate_series(1, %(count)s) AS n
"""
_WEBHOOKS = """
INSERT INTO webhook_delivery (app_id, received_at, body, status, processed_at, event_count, error)
SELECT (SELECT min(id) FROM messaging_metaapp),
    now() - interval '14 days' * (1 - n / %(count)s::float), '{}',
    CASE WHEN n %% 50000 = 0 THEN 'ERROR' ELSE 'DONE' END, now(), 1, ''
FROM generate_series(1, %(count)s) AS n;
INSERT INTO webhook_event (delivery_id, org_id, topic, result, provider_message_id, recorded_at,
    error, position)
SELECT id, %(org)s, 'delivered', CASE WHEN id %% 50000 = 1 THEN 'POISON' ELSE 'APPLIED' END,
    'wamid.' || id, received_at, '', 0
FROM webhook_delivery
"""
_INBOUND = """
INSERT INTO messaging_inboundmessage (org_id, phone_number_id, contact_id, provider_message_id,
    kind, text, at, received_at)
SELECT org_id, %(number)s, id, 'wamid.in.' || id, 'text', 'Thank you', now(), now()
FROM consent_contact
"""
_OPERATIONS = """
INSERT INTO messaging_bulkoperation (id, org_id, kind, filter, actor, cause, reason, state, matched,
    counts, next_at, failures, created_at, updated_at, finished_at)
SELECT gen_random_uuid(), %(org)s, 'requeue', '{}', 'user:1', 'staff', 'mended', 'DONE', 100,
    '{"requeued": 100}', now(), 0, now(), now(), now()
FROM generate_series(1, %(operations)s)
"""
_INCIDENTS = """
INSERT INTO alerts_alert (rule, key, org_id, is_part, severity, title, summary, figures, "table",
    advice, is_event, page, size, told_size, opened_at, last_seen_at, resolved_at, reopened,
    is_told, acknowledged_by)
SELECT 'dlq', n::text, %(org)s, false, 'warning', 'Dead letter queue', 'Many', '[]', '[]', '',
    false, '', 0, 0, now() - interval '1 minute' * n, now(),
    CASE WHEN n > 5 THEN now() END, 0, true, ''
FROM generate_series(1, %(incidents)s) AS n
"""


def fill(connection: psycopg.Connection, of: seed.Numbers, count: int) -> None:
    """Create so many people with consents, lines of the trail, webhooks and messages of people."""
    # As for the messages: right by construction, and the trail's guard is for hands.
    connection.execute("SET session_replication_role = replica")
    parameters = {
        "org": of.org,
        "number": of.ids[0],
        "count": count,
        "operations": OPERATIONS,
        "incidents": INCIDENTS,
    }
    for statements in (_PEOPLE, _TRAIL, _WEBHOOKS, _INBOUND, _OPERATIONS, _INCIDENTS):
        for statement in statements.split(";\n"):
            connection.execute(statement, parameters)
    seed.settle(connection)
