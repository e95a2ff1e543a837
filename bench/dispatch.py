"""How fast a full queue leaves, beside the bare calls and the literal design of the same run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

from bench import installation, literal_queue, meters, readings, seed
from bench.report import Report
from tests.e2e.stack import Process, Stack, wait_until

CONTACTS = 20_000
EXPECTED_PER_SECOND = 4_000  # more than the engine reaches: the queue never runs dry
EXPECTED_OF_REQUESTS = 1_500
EXPECTED_OF_LITERAL = 400
# The baselines settle sooner than the engine, whose tables grow: they are measured for shorter.
BASELINE_SECONDS = 20.0
GATHERED = 50  # statuses in one POST at most
LOOP_PER_SECOND = 600  # offered; all of it must come back as three statuses
WARM_SECONDS = 5.0
PACED_PER_SECOND = 40  # by single requests: the wait for the engine, not for the API
PACED_THREADS = 8

Figures = dict[str, float | None]


def run(options: Namespace) -> Report:
    """Measure the baselines, the engine by both transports, and the loop with statuses."""
    report = Report("dispatch", f"answers after {options.latency_ms} ms")
    with installation.installed(options, statuses=False) as (stack, connection):
        senders = seed.numbers(connection)
        seed.contacts(connection, senders, CONTACTS)
        bare = _bare(stack, options, "curl", 1000)
        report.add("bare calls", **bare)
        report.add("bare calls, requests", **_bare(stack, options, "requests", 200))
        literal = _literal(stack, connection, senders, options)
        report.add("literal design", **literal)
        engine = _engine(stack, connection, senders, options)
        engine["of_the_bare_limit"] = _ratio(engine, bare)
        engine["times_the_literal"] = _ratio(engine, literal)
        report.add("engine", **engine)
        double = _engine(stack, connection, senders, Namespace(**{**vars(options), "workers": 2}))
        double["of_the_bare_limit"] = _ratio(double, bare)
        double["times_the_literal"] = _ratio(double, literal)
        report.add("engine, 2 workers", **double)
        slow = _requests(stack, connection, senders, options)
        report.add("engine, requests", **slow, times_the_literal=_ratio(slow, literal))
    with installation.installed(options, statuses=True) as (stack, connection):
        senders = seed.numbers(connection)
        seed.contacts(connection, senders, CONTACTS)
        report.add("paced", **_paced(stack, connection, options))
        report.add("with three statuses", **_loop(stack, connection, senders, options))
        # Under load Meta gathers statuses in fewer posts.
        stack.sandbox("POST", "config", json={"statuses_per_post": GATHERED})
        report.add("with statuses gathered", **_loop(stack, connection, senders, options))
    return report


def _bare(stack: Stack, options: Namespace, transport: str, concurrency: int) -> Figures:
    command = [sys.executable, "-m", "bench.bare", stack.sandbox_url, "--transport", transport]
    command += ["--concurrency", str(concurrency), "--seconds", str(min(options.seconds, 10.0))]
    done = subprocess.run(
        command, env=stack.env, capture_output=True, text=True, timeout=120, check=True
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def _literal(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers, options: Namespace
) -> Figures:
    seconds = min(options.seconds, BASELINE_SECONDS)
    count = int((seconds + WARM_SECONDS) * EXPECTED_OF_LITERAL)
    seed.messages(connection, senders, count)
    seed.settle(connection)
    literal_queue.publish(stack, count)
    with literal_queue.worker(stack):
        return _measure(stack, connection, seconds, "worker-literal")


def _engine(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers, options: Namespace
) -> Figures:
    most = int((options.seconds + WARM_SECONDS) * EXPECTED_PER_SECOND)
    seed.messages(connection, senders, most - _number(connection, _UNDER_WAY))
    seed.settle(connection)
    with _workers(stack, options):
        return _measure(stack, connection, options.seconds, "worker-0")


def _requests(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers, options: Namespace
) -> Figures:
    seconds = min(options.seconds, BASELINE_SECONDS)
    seed.messages(connection, senders, int((seconds + WARM_SECONDS) * EXPECTED_OF_REQUESTS))
    seed.settle(connection)
    with _workers(stack, options, {"OUTBOUND_TRANSPORT": "requests"}):
        return _measure(stack, connection, seconds, "worker-0")


def _loop(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers, options: Namespace
) -> Figures:
    """Send no faster than a sustained rate, and count what has come back as read."""
    seconds = min(options.seconds, 30.0)
    each = LOOP_PER_SECOND // len(senders.ids)
    connection.execute("UPDATE messaging_phonenumber SET messages_per_second = %s", (each,))
    seed.messages(connection, senders, int((seconds + WARM_SECONDS * 3) * LOOP_PER_SECOND * 2))
    seed.settle(connection)
    with _workers(stack, options):
        figures = _measure(stack, connection, seconds, "worker-0", counted=_READ)
        figures["webhooks_waiting_at_the_end"] = float(_pending(connection))
        figures["sent_but_not_read_at_the_end"] = float(_number(connection, _SENT_ONLY))
    return figures


def _paced(stack: Stack, connection: psycopg.Connection, options: Namespace) -> Figures:
    """Measure the wait of single messages that come in by the API, far below capacity."""
    seconds = min(options.seconds, BASELINE_SECONDS)
    count = int(seconds * PACED_PER_SECOND)
    with _workers(stack, options), ThreadPoolExecutor(PACED_THREADS) as pool:
        sender = {"from": installation.NUMBERS[0]}
        assert stack.send("+12022000900", **sender).status_code == 201
        # A worker that still starts would be measured as a wait of the first messages.
        wait_until(lambda: not _number(connection, _UNDER_WAY), 60, "the worker's start")
        connection.execute("UPDATE outbound_message SET created_at = now() - interval '1 day'")
        begun = time.monotonic()
        answers = []
        for place in range(count):
            threading.Event().wait(max(0.0, begun + place / PACED_PER_SECOND - time.monotonic()))
            answers.append(pool.submit(stack.send, f"+1202{2_000_000 + place}", **sender))
        codes = {answer.result().status_code for answer in answers}
        assert codes == {201}, codes
        wait_until(lambda: not _number(connection, _UNDER_WAY), 30, "the last answers")
    calls = _waits(connection, "attempt.started_at - message.created_at")
    answered = _waits(connection, "attempt.finished_at - message.created_at")
    return {
        "messages_per_second": float(PACED_PER_SECOND),
        "accept_to_send_p50_ms": statistics.median(calls),
        "accept_to_send_p95_ms": statistics.quantiles(calls, n=20)[-1],
        "accept_to_answer_recorded_p50_ms": statistics.median(answered),
        "accept_to_answer_recorded_p95_ms": statistics.quantiles(answered, n=20)[-1],
    }


def _waits(connection: psycopg.Connection, wait: str) -> list[float]:
    rows = connection.execute(
        f"""SELECT extract(epoch FROM {wait})::float8 * 1000 FROM outbound_message AS message
        JOIN outbound_attempt AS attempt ON attempt.message_id = message.id
        WHERE attempt.finished_at IS NOT NULL
            AND message.created_at > now() - interval '1 hour'""".encode()
    ).fetchall()
    return [row[0] for row in rows]


@contextmanager
def _workers(
    stack: Stack, options: Namespace, settings: Mapping[str, str] | None = None
) -> Iterator[list[Process]]:
    names = [f"worker-{number}" for number in range(options.workers)]
    workers = [installation.worker(stack, name, settings=settings) for name in names]
    try:
        yield workers
    finally:
        for name, process in zip(names, workers, strict=True):
            process.stop(seconds=60)
            del stack.processes[name]


def _measure(
    stack: Stack,
    connection: psycopg.Connection,
    seconds: float,
    watched: str,
    *,
    counted: str = "status NOT IN ('QUEUED', 'SENDING')",
) -> Figures:
    """Wait for the first messages to be through, then read the meters twice."""

    def count() -> int:
        return _number(connection, counted)

    before = count()
    wait_until(lambda: count() > before, 60, "the first answers")
    threading.Event().wait(WARM_SECONDS)
    panel = readings.Panel(stack, connection, count)
    begin = panel.read()
    with meters.PeakMemory(readings.pid(stack.processes[watched])) as memory:
        threading.Event().wait(seconds)
    end = panel.read()
    return {**readings.figures(begin, end), **readings.memory(memory)}


_READ = "read_at IS NOT NULL"
_UNDER_WAY = "status IN ('QUEUED', 'SENDING')"
_SENT_ONLY = "read_at IS NULL AND sent_at IS NOT NULL"


def _number(connection: psycopg.Connection, condition: str) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM outbound_message WHERE {condition}".encode()
    ).fetchone()
    assert row is not None
    return int(row[0])


def _pending(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM webhook_delivery WHERE status = 'PENDING'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _ratio(figures: Figures, baseline: Figures) -> float:
    return (figures["messages_per_second"] or 0.0) / (baseline["messages_per_second"] or 1.0)
