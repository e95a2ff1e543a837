"""Whether a claim costs more in a large table: the same claims among ever more ended messages."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from argparse import Namespace

import psycopg

from bench import installation, meters, seed
from bench.report import Report
from tests.e2e.stack import ROOT, Stack

CONTACTS = 20_000
SIZES = [10_000, 1_000_000]
LARGEST = 10_000_000  # on request: a quarter of an hour and 10 GB
STEP = 250_000
ROUNDS = 100
BATCH = 100


def run(options: Namespace) -> Report:
    """Measure claims at each size of the table."""
    report = Report("growth", f"claims of {BATCH} beside so many ended messages")
    sizes = [*SIZES, LARGEST] if options.large else SIZES
    with installation.installed(options, statuses=False) as (stack, connection):
        senders = seed.numbers(connection)
        seed.contacts(connection, senders, CONTACTS)
        # Millions of rows that are right by construction: their keys need no check.
        connection.execute("SET session_replication_role = replica")
        first, ended = 0.0, 0
        for size in sizes:
            while ended < size:
                step = min(STEP, size - ended)
                seed.messages(connection, senders, step, status="SENT")
                ended += step
            figures = _measure(stack, connection, senders)
            first = first or figures["claim_p50_ms"]
            report.add(f"{size:,}", **figures, times_the_first=figures["claim_p50_ms"] / first)
    return report


def _measure(
    stack: Stack, connection: psycopg.Connection, senders: seed.Numbers
) -> dict[str, float]:
    # The same queue at every size: what earlier claims took is given an end first.
    connection.execute(
        """UPDATE outbound_message SET status = 'CANCELLED', due_at = NULL, claim_id = NULL,
            lease_expires_at = NULL WHERE status IN ('QUEUED', 'SENDING')"""
    )
    seed.messages(connection, senders, BATCH * ROUNDS * 2)
    seed.settle(connection)
    done = subprocess.run(
        [sys.executable, "-m", "bench.claimer", str(ROUNDS), str(BATCH)],
        env=stack.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    times: list[float] = json.loads(done.stdout)
    return {
        "claim_p50_ms": statistics.median(times),
        "claim_p95_ms": statistics.quantiles(times, n=20)[-1],
        "table_with_indexes_mib": meters.table_size(connection) / meters.MEGABYTE,
    }
