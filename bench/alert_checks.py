"""Runs inside an installation: reads each check's figures and explains its statements."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402 - Django is set up first

from alerts import thresholds  # noqa: E402 - as above
from alerts.checklist import CHECKS  # noqa: E402 - as above
from orgs import database  # noqa: E402 - as above

ROUNDS = 5


class Watch:
    """Remembers the statements of a connection and how long they took."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []
        self.seconds = 0.0

    def __call__(self, execute: Callable[..., Any], sql: str, parameters: Any, *more: Any) -> Any:
        """Run the statement; Django calls this around each."""
        begun = perf_counter()
        try:
            return execute(sql, parameters, *more)
        finally:
            self.seconds += perf_counter() - begun
            self.statements.append((sql, parameters))


def main() -> None:
    """Print the figures and plans of each check as JSON."""
    limits = thresholds.current()
    # The rows are seeded as of one hour ago.
    at = database.now() + timedelta(hours=1)
    found = {}
    for name, check in CHECKS.items():
        check.read(limits, at)
        times, watch = [], Watch()
        for _ in range(ROUNDS):
            watch = Watch()
            with connection.execute_wrapper(watch):
                check.read(limits, at)
            times.append(watch.seconds * 1000)
        plans = []
        with connection.cursor() as cursor:
            for sql, parameters in dict(watch.statements).items():
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) {sql}", parameters)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
        found[name] = {
            "figures": {
                "database_ms": statistics.median(times),
                "worst_ms": max(times),
                "statements": len(watch.statements),
            },
            "plans": plans,
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
