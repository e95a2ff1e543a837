"""What a production installation uses while nothing is to be done."""

from __future__ import annotations

import threading
from argparse import Namespace

from bench import installation, meters, readings
from bench.report import Report

SETTLE_SECONDS = 10.0
SECONDS = 30.0


def run(options: Namespace) -> Report:
    """Measure web, worker and beat at rest."""
    report = Report("idle", "web, worker and beat with nothing to do")
    with installation.installed(options, statuses=True) as (stack, connection):
        installation.worker(stack, "worker-0")
        installation.beat(stack)
        threading.Event().wait(SETTLE_SECONDS)
        panel = readings.Panel(stack, connection, lambda: 0)
        before = panel.read()
        threading.Event().wait(SECONDS)
        after = panel.read()
        memory = {
            name: meters.resident(readings.pid(process)) / meters.MEGABYTE
            for name, process in stack.processes.items()
            if name in after.cpu and name != "sandbox"
        }
    seconds = after.at - before.at
    shares = {
        name: (after.cpu[name] - before.cpu[name]) / seconds
        for name in sorted(after.cpu)
        if name != "sandbox"
    }
    statements = after.database.since(before.database).statements
    report.add(
        "at rest",
        **{f"{name}_percent_of_a_core": 100 * share for name, share in shares.items()},
        all_percent_of_a_core=100 * sum(shares.values()),
        queries_per_second=None if statements is None else statements / seconds,
        **{f"{name}_memory_mib": size for name, size in memory.items()},
    )
    return report
