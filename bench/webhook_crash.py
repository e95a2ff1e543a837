"""Web processes killed at full webhook load: what was answered 200 is applied, and once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from argparse import Namespace

import psutil
import psycopg

from bench import installation, seed
from bench.report import Report
from bench.webhook_repeats import WORDS
from tests.e2e.installation import META_SECRETS
from tests.e2e.stack import Stack, wait_until

WORKERS = 2
KILLS = 3
LONGEST_SECONDS = 30.0
MOST_PER_SECOND = 6_000  # statuses: more than the service takes, so that there always are some


def run(options: Namespace) -> Report:
    """Kill one web process after the other under load, then count what became of each status."""
    seconds = min(options.seconds, LONGEST_SECONDS)
    report = Report("crash", f"granian × {WORKERS}, kill -9 of one of them {KILLS} times")
    with installation.installed(options, statuses=False) as (stack, connection):
        senders = seed.numbers(connection)
        count = int(seconds * MOST_PER_SECOND) // len(WORDS)
        seed.contacts(connection, senders, count)
        seed.accepted(connection, senders, count)
        seed.settle(connection)
        installation.serve(stack, WORKERS)
        worker = installation.worker(stack, "worker-0")
        try:
            posted = _post(stack, connection, seconds)
            wait_until(lambda: not _waiting(connection), 120, "the last delivery to be applied")
        finally:
            worker.stop(seconds=60)
            _stop(stack)
        report.add("one status in a POST", **_judge(connection, posted))
    return report


def _post(stack: Stack, connection: psycopg.Connection, seconds: float) -> dict[str, object]:
    command = [sys.executable, "-m", "bench.webhook_repeats"]
    command += [f"{stack.base_url}/api/v1/webhooks/whatsapp/inbound", "--seconds", str(seconds)]
    command += ["--secret", META_SECRETS["WHATSAPP_APP_SECRET"]]
    rows = connection.execute(
        """SELECT message.id, number.phone_number_id FROM outbound_message AS message
        JOIN messaging_phonenumber AS number ON number.id = message.phone_number_id
        ORDER BY message.id"""
    ).fetchall()
    killer = threading.Thread(target=_kill, args=(stack, seconds / (KILLS + 1)))
    killer.start()
    done = subprocess.run(
        command,
        env=stack.env,
        input="".join(f"{message} {number}\n" for message, number in rows),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    killer.join()
    assert done.returncode == 0, done.stderr
    posted: dict[str, object] = json.loads(done.stdout)
    return posted


def _kill(stack: Stack, every: float) -> None:
    """Kill the oldest web process again and again; the server starts another in its place."""
    server = stack.processes["web"].child
    assert server is not None
    for _ in range(KILLS):
        threading.Event().wait(every)
        served = [each for each in psutil.Process(server.pid).children() if _serves(each)]
        min(served, key=psutil.Process.create_time).send_signal(signal.SIGKILL)


def _stop(stack: Stack) -> None:
    """Stop the web with all its processes: one that is still starting would outlive its server."""
    server = stack.processes["web"].child
    assert server is not None
    served = psutil.Process(server.pid).children(recursive=True)
    stack.processes["web"].stop()
    for process in psutil.wait_procs(served, timeout=10)[1]:
        process.kill()


def _serves(process: psutil.Process) -> bool:
    return any("granian" in word for word in process.cmdline())


def _waiting(connection: psycopg.Connection) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM webhook_delivery WHERE status = 'PENDING'"
    ).fetchone() or (0,)
    return int(count)


def _judge(connection: psycopg.Connection, posted: dict[str, object]) -> dict[str, float]:
    """Compare what was answered 200 with events, timeline and messages."""
    answered = {(message, word) for message, word in posted["answered"]}  # type: ignore[attr-defined]  # JSON
    rows = connection.execute(
        """SELECT message_id::text, topic, count(*), count(*) FILTER (WHERE result = 'APPLIED')
        FROM webhook_event WHERE message_id IS NOT NULL GROUP BY message_id, topic"""
    ).fetchall()
    (lines,) = connection.execute(
        """SELECT count(*) FROM (SELECT 1 FROM message_event WHERE kind = ANY (%s)
        GROUP BY message_id, kind HAVING count(*) > 1) AS doubled""",
        (list(WORDS),),
    ).fetchone() or (0,)
    (unread,) = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE id = ANY (%s::uuid[]) AND read_at IS NULL",
        ([message for message, word in answered if word == "read"],),
    ).fetchone() or (0,)
    found = {(message, word) for message, word, _, _ in rows}
    figures = {
        "answered_per_second": len(answered) / float(str(posted["seconds"])),
        "answered": len(answered),
        "posted_again": float(str(posted["repeats"])),
        "stored_twice": sum(stored - 1 for _, _, stored, _ in rows),
        "lost": len(answered - found) + unread,
        "doubled": sum(applied > 1 for *_, applied in rows) + lines,
    }
    assert not figures["lost"], figures
    assert not figures["doubled"], figures
    return figures
