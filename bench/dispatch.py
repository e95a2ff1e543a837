"""How fast a full queue leaves, beside the same HTTP calls with nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from argparse import Namespace

import psycopg

from bench import installation, meters, seed
from bench.report import Report
from tests.e2e.stack import Process, Stack, wait_until

CONTACTS = 20_000
EXPECTED_PER_SECOND = 5_000  # more than any design here reaches: the queue never runs dry


def run(options: Namespace) -> Report:
    """Measure the bare limit, then the engine."""
    report = Report("dispatch", f"answers after {options.latency_ms} ms, statuses off")
    with installation.installed(options, statuses=False) as (stack, connection):
        bare = _bare(stack, options)
        report.add("bare calls", **bare)
        figures = _engine(stack, connection, options)
        figures["of_the_bare_limit"] = figures["messages_per_second"] / bare["messages_per_second"]
        report.add("engine", **figures)
    return report


def _bare(stack: Stack, options: Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.bare", stack.sandbox_url]
    command += ["--seconds", str(min(options.seconds, 10.0))]
    done = subprocess.run(
        command, env=stack.env, capture_output=True, text=True, timeout=120, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _engine(
    stack: Stack, connection: psycopg.Connection, options: Namespace
) -> dict[str, float | None]:
    senders = seed.numbers(connection)
    seed.contacts(connection, senders, CONTACTS)
    seed.messages(connection, senders, int(options.seconds * EXPECTED_PER_SECOND))
    seed.settle(connection)
    workers = [installation.worker(stack, f"worker-{n}") for n in range(options.workers)]
    wait_until(lambda: _accepted(connection), 60, "the first answer")
    before = _Reading(stack, connection, workers)
    with meters.PeakMemory(_pid(workers[0])) as memory:
        threading.Event().wait(options.seconds)
    after = _Reading(stack, connection, workers)
    for process in workers:
        process.stop()
    return _figures(before, after, memory)


class _Reading:
    """All meters at one moment."""

    def __init__(
        self, stack: Stack, connection: psycopg.Connection, workers: list[Process]
    ) -> None:
        self.at = time.monotonic()
        self.messages = _accepted(connection)
        self.database = meters.database_cost(connection)
        self.worker_cpu = sum(meters.cpu_seconds(_pid(process)) for process in workers)
        self.sandbox_cpu = meters.cpu_seconds(_pid(stack.processes["sandbox"]))
        self.postgres_cpu = meters.cpu_seconds(_postmaster(connection))


def _figures(
    before: _Reading, after: _Reading, memory: meters.PeakMemory
) -> dict[str, float | None]:
    count = after.messages - before.messages
    cost = after.database.since(before.database)

    def per_thousand(seconds: float) -> float:
        return seconds * 1000 / count

    return {
        "messages_per_second": count / (after.at - before.at),
        "worker_cpu_s_per_1000": per_thousand(after.worker_cpu - before.worker_cpu),
        "postgresql_cpu_s_per_1000": per_thousand(after.postgres_cpu - before.postgres_cpu),
        "sandbox_cpu_s_per_1000": per_thousand(after.sandbox_cpu - before.sandbox_cpu),
        "statements_per_message": None if cost.statements is None else cost.statements / count,
        "wal_bytes_per_message": cost.wal_bytes / count,
        "hot_share_of_updates": cost.hot_updates / max(1, cost.updates),
        "worker_memory_start_mib": memory.first / meters.MEGABYTE,
        "worker_memory_end_mib": memory.last / meters.MEGABYTE,
        "worker_memory_peak_mib": memory.peak / meters.MEGABYTE,
    }


def _accepted(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE status NOT IN ('QUEUED', 'SENDING')"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _postmaster(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return meters.parent(int(row[0]))


def _pid(process: Process) -> int:
    assert process.child is not None
    return process.child.pid
