"""How fast webhooks are taken in and applied, beside a bare view and bare inserts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator

import psycopg

from bench import installation, meters, seed, webhook_bodies
from bench.report import Report
from messaging.providers.whatsapp import callback
from tests.e2e.installation import META_SECRETS
from tests.e2e.stack import Stack, wait_until

WORKERS = 2
IN_A_POST = 50
LONGEST_SECONDS = 15.0
INSERTING_THREADS = 16
APPLIED_MESSAGES = 20_000
WORDS = ("sent", "delivered", "read")
LAG_CONTACTS = 20_000

Figures = dict[str, float]


def run(options: Namespace) -> Report:
    """Measure taking in, applying, and the lag while messages are sent."""
    seconds = min(options.seconds, LONGEST_SECONDS)
    report = Report("webhooks", f"granian × {WORKERS}, signed statuses")
    with installation.installed(options, statuses=False) as (stack, connection):
        installation.serve(stack, WORKERS)
        bare = _post(stack, "bench/ok", seconds)
        report.add("a bare view that answers 200", **bare)
        report.add("bare INSERT, one commit each", **_inserts(stack, connection, seconds))
        single = _post(stack, "api/v1/webhooks/whatsapp/inbound", seconds)
        single["of_the_bare_view"] = single["requests_per_second"] / bare["requests_per_second"]
        report.add("one status in a POST", **single)
        half = single["requests_per_second"] / 2
        calm = _post(stack, "api/v1/webhooks/whatsapp/inbound", seconds, per_second=half)
        report.add("the same at half that load", **calm)
        many = _post(stack, "api/v1/webhooks/whatsapp/inbound", seconds, statuses=IN_A_POST)
        report.add(f"{IN_A_POST} statuses in a POST", **many)
        stack.processes["web"].stop()
        report.add("applied", **_apply(stack, connection))
    with installation.installed(options, statuses=True) as (stack, connection):
        report.add("lag while the queue is sent", **_lag(stack, connection, options, seconds))
    return report


def _post(
    stack: Stack, path: str, seconds: float, *, statuses: int = 1, per_second: float = 0
) -> Figures:
    command = [sys.executable, "-m", "bench.webhook_load", f"{stack.base_url}/{path}"]
    command += ["--secret", META_SECRETS["WHATSAPP_APP_SECRET"], "--seconds", str(seconds)]
    command += ["--statuses", str(statuses), "--per-second", str(per_second)]
    server = stack.processes["web"].child
    assert server is not None
    web = meters.cpu_seconds(server.pid)
    done = subprocess.run(
        command, env=stack.env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    figures: Figures = json.loads(done.stdout)
    assert figures["failed"] == 0, figures
    return {**figures, "web_cpu_s": meters.cpu_seconds(server.pid) - web}


def _inserts(stack: Stack, connection: psycopg.Connection, seconds: float) -> Figures:
    """Store the same bodies with nothing around: one INSERT and commit after the other."""
    content = webhook_bodies.body([webhook_bodies.status("wamid.1", "delivered")]).encode()
    (app,) = connection.execute("SELECT id FROM messaging_metaapp").fetchone() or (0,)
    end = time.monotonic() + seconds
    counts = [0] * INSERTING_THREADS

    def work(place: int) -> None:
        with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as own:
            while time.monotonic() < end:
                own.execute(
                    "INSERT INTO webhook_delivery (app_id, body, received_at, status, "
                    "event_count, error) VALUES (%s, %s, now(), 'DONE', 0, '')",
                    (app, content),
                )
                counts[place] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(INSERTING_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"requests_per_second": sum(counts) / seconds}


def _apply(stack: Stack, connection: psycopg.Connection) -> Figures:
    """Fill the inbox with the statuses of sent messages and time a worker that applies them."""
    connection.execute("TRUNCATE webhook_delivery, outbound_message CASCADE")
    senders = seed.numbers(connection)
    seed.contacts(connection, senders, APPLIED_MESSAGES)
    seed.accepted(connection, senders, APPLIED_MESSAGES)
    _fill_inbox(connection)
    seed.settle(connection)
    total = APPLIED_MESSAGES * len(WORDS)
    worker = installation.worker(stack, "worker-0")
    try:
        wait_until(lambda: _done(connection) > 0, 60, "the first statuses")
        begun, before = time.monotonic(), _done(connection)
        pid = worker.child.pid if worker.child else 0
        used = meters.cpu_seconds(pid)
        wait_until(lambda: _done(connection) == total, 120, "the last status")
        elapsed, cpu = time.monotonic() - begun, meters.cpu_seconds(pid) - used
    finally:
        worker.stop(seconds=60)
    (read,) = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE read_at IS NOT NULL"
    ).fetchone() or (0,)
    assert read == APPLIED_MESSAGES, f"{read} messages are read"
    return {
        "statuses_per_second": (total - before) / elapsed,
        "worker_cpu_s_per_1000": cpu * 1000 / (total - before),
    }


def _fill_inbox(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        """SELECT message.id, number.phone_number_id FROM outbound_message AS message
        JOIN messaging_phonenumber AS number ON number.id = message.phone_number_id
        ORDER BY number.id, message.id"""
    ).fetchall()
    (app,) = connection.execute("SELECT id FROM messaging_metaapp").fetchone() or (0,)
    statement = (
        "COPY webhook_delivery (app_id, body, received_at, status, event_count, error) FROM STDIN"
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for content in _bodies(rows):
            copy.write_row((app, content, "now", "PENDING", 0, ""))


def _bodies(rows: list[tuple[object, ...]]) -> Iterator[bytes]:
    """Yield the statuses of neighbouring messages together, in the order they come from Meta."""
    for start in range(0, len(rows), IN_A_POST):
        group = rows[start : start + IN_A_POST]
        for word in WORDS:
            yield webhook_bodies.body(
                [
                    webhook_bodies.status(
                        f"wamid.{pk}", word, callback.encode("outbound", str(pk), 1)
                    )
                    for pk, _number in group
                ],
                str(group[0][1]),
            ).encode()


def _done(connection: psycopg.Connection) -> int:
    (count,) = connection.execute(
        "SELECT coalesce(sum(event_count), 0) FROM webhook_delivery WHERE status = 'DONE'"
    ).fetchone() or (0,)
    return int(count)


def _lag(
    stack: Stack, connection: psycopg.Connection, options: Namespace, seconds: float
) -> Figures:
    """Send a full queue with all statuses and see how long these wait to be applied."""
    senders = seed.numbers(connection)
    seed.contacts(connection, senders, LAG_CONTACTS)
    seed.messages(connection, senders, int(seconds * 3_000))
    seed.settle(connection)
    workers = [
        installation.worker(stack, f"worker-{number}") for number in range(max(1, options.workers))
    ]
    try:
        wait_until(lambda: _done(connection) > 0, 60, "the first statuses")
        begun, before = time.monotonic(), _done(connection)
        threading.Event().wait(seconds)
        applied, elapsed = _done(connection) - before, time.monotonic() - begun
        row = connection.execute(
            """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lag),
                percentile_cont(0.95) WITHIN GROUP (ORDER BY lag),
                count(*) FILTER (WHERE waits)
            FROM (SELECT extract(epoch FROM coalesce(processed_at, now()) - received_at)::float8
                AS lag, processed_at IS NULL AS waits FROM webhook_delivery) AS deliveries"""
        ).fetchone()
    finally:
        for worker in workers:
            worker.stop(seconds=60)
    assert row is not None
    return {
        "statuses_per_second": applied / elapsed,
        "lag_p50_s": row[0],
        "lag_p95_s": row[1],
        "waiting_at_the_end": row[2],
    }
