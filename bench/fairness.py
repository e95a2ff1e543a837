"""How long a new message waits behind 100,000 queued ones: of another organisation, of its own."""

from __future__ import annotations

import statistics
import threading
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor

import psycopg

from bench import installation, seed
from bench.report import Report
from tests.e2e.stack import Stack, wait_until

BACKLOG = 100_000
CONTACTS = 20_000
PROBES = 15
# Of each number of the busy organisation, a second: Meta's usual rate, and the highest.
RATES = (80, 1000)
SETTLE_SECONDS = 3.0
PURGED = 30_000  # messages past their retention
OTHER_NUMBER = "200000000000009"


def run(options: Namespace) -> Report:
    """Measure the waits while one organisation's backlog leaves, at the usual and at full speed."""
    report = Report("fairness", f"{BACKLOG:,} messages queued by one organisation")
    with installation.installed(options, statuses=False) as (stack, connection):
        stack.manage("create_org", "globex", "--name", "Globex")
        stack.manage(
            *("connect_number", "globex", "--app-id", "300000000000001", "--no-verify"),
            *("--waba-id", "100000000000009", "--phone-number-id", OTHER_NUMBER),
        )
        busy, quiet = seed.numbers(connection, "acme"), seed.numbers(connection, "globex")
        for senders in (busy, quiet):
            seed.contacts(connection, senders, CONTACTS if senders is busy else 10)
        seed.messages(connection, busy, BACKLOG, priority=30)
        seed.settle(connection)
        worker = installation.worker(stack, "worker-1")
        wait_until(lambda: _left(connection) < BACKLOG, 60, "the first answer")
        for rate in RATES:
            connection.execute(
                "UPDATE messaging_phonenumber SET messages_per_second = %s WHERE id = ANY (%s)",
                (rate, busy.ids),
            )
            threading.Event().wait(SETTLE_SECONDS)
            for case, senders, priority in (("another's", quiet, 20), ("its own high", busy, 10)):
                waits = [_wait_of_one(connection, senders, priority) for _ in range(PROBES)]
                report.add(
                    f"{case}, at {rate}/s",
                    wait_p50_s=statistics.median(waits),
                    wait_max_s=max(waits),
                    queued_at_the_end=float(_left(connection)),
                )
        report.add("another's, beside a purge", **_beside_purge(stack, connection, quiet))
        worker.stop()
    return report


def _beside_purge(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers
) -> dict[str, float]:
    """Measure the waits while messages past their retention are deleted."""
    seed.history(connection, senders, PURGED, days_ago=400)
    purge = ("shell", "-c", "from messaging.tasks import purge; purge()")
    before = _old(connection)
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        purging = pool.submit(stack.manage, *purge)
        waits = []
        while not purging.done():
            waits.append(_wait_of_one(connection, senders, 20))
        purging.result()
        seconds = time.monotonic() - begun
    return {
        "wait_p50_s": statistics.median(waits),
        "wait_max_s": max(waits),
        "purged_per_second": (before - _old(connection)) / seconds,
    }


def _old(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE created_at < now() - interval '300 days'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _wait_of_one(connection: psycopg.Connection, senders: seed.Numbers, priority: int) -> float:
    """Queue one message, without a hint to the workers; return how long until it left.

    It left when its call began: when the answer was recorded, less the call's duration.
    """
    threading.Event().wait(0.3)
    reference = f"probe-{time.monotonic()}"
    seed.messages(connection, senders, 1, priority=priority, reference=reference)
    wait_until(lambda: _wait(connection, reference) is not None, 30, "the answer to the probe")
    return _wait(connection, reference) or 0.0


def _wait(connection: psycopg.Connection, reference: str) -> float | None:
    row = connection.execute(
        """SELECT extract(epoch FROM attempt.finished_at - message.created_at)::float8
            - attempt.duration_ms / 1000.0
        FROM outbound_message AS message
        JOIN outbound_attempt AS attempt ON attempt.message_id = message.id
        WHERE message.reference = %s AND message.status = 'SENT'""",
        (reference,),
    ).fetchone()
    return None if row is None else float(row[0])


def _left(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE status = 'QUEUED'"
    ).fetchone()
    assert row is not None
    return int(row[0])
