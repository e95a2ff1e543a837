"""How fast messages are accepted, beside a view that does nothing and the usual way."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace

import psycopg

from bench import installation, meters, seed
from bench.report import Report
from tests.e2e.stack import Stack

PEOPLE = 20_000
BATCH = 1000
WORKERS = 2
LONGEST_SECONDS = 15.0


def run(options: Namespace) -> Report:
    """Measure all cases one after the other, on one installation."""
    seconds = min(options.seconds, LONGEST_SECONDS)
    report = Report("intake", f"granian × {WORKERS}, template messages to {PEOPLE:,} people")
    with installation.installed(options, statuses=False) as (stack, connection):
        seed.contacts(connection, seed.numbers(connection), PEOPLE)
        seed.settle(connection)
        installation.serve(stack, WORKERS)
        nothing = _case(stack, connection, "bench/nothing", seconds)
        single = _case(stack, connection, "api/v1/outbound-messages", seconds)
        usual = _case(stack, connection, "bench/usual", seconds)
        batch = _case(stack, connection, "api/v1/outbound-messages/batch", seconds, batch=BATCH)
    rate = "messages_per_second"
    single["of_a_view_that_does_nothing"] = single[rate] / nothing[rate]
    single["times_the_usual_way"] = single[rate] / usual[rate]
    nothing.pop("statements_per_message")
    report.add("a view that does nothing", **nothing)
    report.add("one message", **single)
    report.add("one message, the usual way", **usual)
    report.add(f"batches of {BATCH:,}", **batch)
    return report


def _case(
    stack: Stack, connection: psycopg.Connection, path: str, seconds: float, *, batch: int = 0
) -> dict[str, float]:
    connection.execute("TRUNCATE outbound_message CASCADE")
    seed.history(connection, seed.numbers(connection), PEOPLE)
    seed.settle(connection)
    command = [sys.executable, "-m", "bench.intake_load", f"{stack.base_url}/{path}"]
    command += ["--key", stack.api_key, "--people", str(PEOPLE), "--seconds", str(seconds)]
    command += ["--batch", str(batch), "--threads", "4" if batch else "16"]
    server = stack.processes["web"].child
    assert server is not None
    before = meters.database_cost(connection)
    web, postgres = meters.cpu_seconds(server.pid), _postgres_cpu(connection)
    done = subprocess.run(
        command, env=stack.env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    assert figures["failed"] == 0, figures
    # The load warms up before it counts: the costs are those of every request it made.
    made = max(1, _count(connection) - PEOPLE) if "nothing" not in path else None
    cost = meters.database_cost(connection).since(before)
    figures["web_cpu_s"] = meters.cpu_seconds(server.pid) - web
    figures["postgresql_cpu_s"] = _postgres_cpu(connection) - postgres
    if made:
        figures["web_cpu_s_per_1000"] = figures["web_cpu_s"] * 1000 / made
        figures["postgresql_cpu_s_per_1000"] = figures["postgresql_cpu_s"] * 1000 / made
        figures["wal_bytes_per_message"] = cost.wal_bytes / made
    figures["statements_per_message"] = (cost.statements or 0) / (made or 1)
    return figures


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM outbound_message").fetchone()
    assert row is not None
    return int(row[0])


def _postgres_cpu(connection: psycopg.Connection) -> float:
    return meters.cpu_seconds(meters.postmaster(connection))
