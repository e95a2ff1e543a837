"""What /metrics and the health figures ask of the database beside many messages."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from bench import installation, meters, seed
from bench.report import Report
from tests.e2e.stack import ROOT

CONTACTS = 20_000
SIZE = 200_000
STEP = 250_000
# Of all messages so many wait and so many have failed; the rest is sent.
WAITING_SHARE = FAILED_SHARE = 0.1
# Where one takes longer, decision 0013 is to be thought over.
GOAL_MS = 50.0


def run(options: Namespace) -> Report:
    """Measure each query, and keep its plan in a file beside the figures."""
    total = options.messages or SIZE
    report = Report("gauges", f"queries of /metrics beside {total:,} messages")
    with installation.installed(options, statuses=False) as (stack, connection):
        senders = seed.numbers(connection)
        seed.contacts(connection, senders, CONTACTS)
        # Rows that are right by construction: their keys need no check.
        connection.execute("SET session_replication_role = replica")
        for status, share in (
            ("SENT", 1 - WAITING_SHARE - FAILED_SHARE),
            ("FAILED", FAILED_SHARE),
            ("QUEUED", WAITING_SHARE),
        ):
            left = int(total * share)
            while left > 0:
                seed.messages(connection, senders, min(STEP, left), status=status)
                left -= STEP
        seed.settle(connection)
        done = subprocess.run(
            [sys.executable, "-m", "bench.gauge_queries"],
            env=stack.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        size = meters.table_size(connection) / meters.MEGABYTE
    asked: list[dict[str, Any]] = json.loads(done.stdout)
    for name in dict.fromkeys(query["of"] for query in asked):
        times = [query["milliseconds"] for query in asked if query["of"] == name]
        report.add(
            name,
            database_ms=sum(times),
            slowest_query_ms=max(times),
            queries=float(len(times)),
            within_the_goal=float(sum(times) <= GOAL_MS),
            table_with_indexes_mib=size,
        )
    plans = Path(options.output) / "gauges-plans.txt"
    plans.parent.mkdir(parents=True, exist_ok=True)
    plans.write_text(
        "\n\n".join(f"-- {each['of']}\n{each['sql']}\n{each['plan']}" for each in asked)
    )
    print(f"Plans written to {plans}")
    return report
