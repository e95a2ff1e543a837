"""What the checks of alerts cost the database beside a million messages, with their plans."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import psycopg

from bench import installation, seed
from bench.report import Report
from tests.e2e.stack import ROOT

CONTACTS = 20_000
SIZE = 1_000_000
STEP = 250_000
# A bad day: one message in twenty has failed, one in twenty waits.
FAILED = QUEUED = 20
ATTEMPTS, DELIVERIES, NOTICES = 300_000, 200_000, 20_000

_SPREAD = """
UPDATE outbound_message SET failed_at = now() - random() * interval '10 days', attempt_count = 5,
    error_code = (ARRAY['131026', '131000', '131049', '190', 'DELIVERY_UNKNOWN'])
        [1 + floor(random() * 5)::int]
    WHERE status = 'FAILED';
UPDATE outbound_message SET attempt_count = 4, created_at = now() - interval '3 hours'
    WHERE id IN (SELECT id FROM outbound_message WHERE status = 'QUEUED' LIMIT %(some)s);
UPDATE outbound_message SET status = 'SENDING', due_at = NULL, claim_id = gen_random_uuid(),
        lease_expires_at = now() + interval '1 minute'
    WHERE id IN (SELECT id FROM outbound_message WHERE status = 'QUEUED'
                 AND attempt_count = 0 LIMIT %(some)s);
INSERT INTO outbound_attempt (message_id, attempt_number, claim_id, outcome, charged, started_at,
        provider_message_id, error_code, error_message, trace_id, excerpt, receipts)
    SELECT id, 1, gen_random_uuid(), 'ACCEPTED', true, now() + random() * interval '1 hour',
        id::text, '', '', '', '', '' FROM outbound_message WHERE status = 'SENT' LIMIT %(attempts)s;
INSERT INTO webhook_delivery (app_id, received_at, body, status, event_count, error)
    SELECT (SELECT min(id) FROM messaging_metaapp), now() - random() * interval '10 days', '{}',
        CASE WHEN n %% 500 = 0 THEN 'ERROR' ELSE 'DONE' END, 1, ''
    FROM generate_series(1, %(deliveries)s) AS n;
INSERT INTO webhook_event (delivery_id, topic, result, provider_message_id, recorded_at, error,
        look_again_at, position)
    SELECT id, 'sent', CASE WHEN id %% 100 = 0 THEN 'POISON' WHEN id %% 50 = 1 THEN 'UNMATCHED'
            ELSE 'APPLIED' END, '', received_at, '',
        CASE WHEN id %% 50 = 1 THEN now() END, 0 FROM webhook_delivery;
INSERT INTO messaging_providernotice (org_id, account_id, topic, event, subject, detail,
        occurred_at, recorded_at, digest)
    SELECT org_id, id, 'business_capability_update', '', '', '', at, at, n::text
    FROM messaging_businessaccount, generate_series(1, %(notices)s) AS n,
        LATERAL (SELECT now() - n * interval '10 minutes' AS at) AS moment;
"""


def run(options: Namespace) -> Report:
    """Measure each check; its plans are written beside the figures."""
    size = options.messages or SIZE
    report = Report("alerts", f"database time of each check beside {size:,} messages")
    with installation.installed(options, statuses=False) as (stack, connection):
        _fill(connection, size)
        done = subprocess.run(
            [sys.executable, "-m", "bench.alert_checks"],
            env=stack.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    plans = []
    for name, found in json.loads(done.stdout.splitlines()[-1]).items():
        report.add(name, **found["figures"])
        plans += [f"== {name}", *found["plans"], ""]
    path = Path(options.output) / "alerts-plans.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(plans) + "\n")
    print("\n".join(plans))
    print(f"Plans written to {path}")
    return report


def _fill(connection: psycopg.Connection, size: int) -> None:
    senders = seed.numbers(connection)
    seed.contacts(connection, senders, CONTACTS)
    # Millions of rows that are right by construction: their keys need no check, nor do counts.
    connection.execute("SET session_replication_role = replica")
    others = size // FAILED + size // QUEUED
    ended = 0
    while ended < size - others:
        step = min(STEP, size - others - ended)
        seed.messages(connection, senders, step, status="SENT")
        ended += step
    seed.messages(connection, senders, size // FAILED, status="FAILED")
    seed.messages(connection, senders, size // QUEUED)
    values = {
        "some": size // QUEUED // 5,
        "attempts": ATTEMPTS,
        "deliveries": DELIVERIES,
        "notices": NOTICES,
    }
    for statement in filter(str.strip, _SPREAD.split(";\n")):
        connection.execute(statement.encode(), values)
    seed.settle(connection)
