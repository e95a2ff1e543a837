"""Runs what /metrics and the health figures ask, and prints each query's plan and time as JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

import django
from django.db import connection

django.setup()

from messaging import gauges, health, stock  # noqa: E402 - the apps must be ready
from messaging.models import OutboundMessage  # noqa: E402 - as above
from orgs import database, tallies  # noqa: E402 - as above
from ratelimit import gauges as limit_gauges  # noqa: E402 - as above

_TIME = re.compile(r"Execution Time: ([\d.]+) ms")


class _Explaining:
    """Explains each query before it runs, in the order in which they come."""

    def __init__(self, of: str) -> None:
        self.of = of
        self.found: list[dict[str, object]] = []

    def __call__(
        self,
        execute: Callable[..., object],
        sql: str,
        params: object,
        many: bool,  # noqa: FBT001 - Django calls it so
        context: object,
    ) -> object:  # a wrapper of Django's
        # Questions only, and not the one for the time.
        if not many and sql.lstrip("( ").startswith("SELECT") and " FROM " in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
                plan = "\n".join(row[0] for row in cursor.fetchall())
            times = [float(found) for found in _TIME.findall(plan)]
            self.found.append({"of": self.of, "sql": sql, "plan": plan, "milliseconds": sum(times)})
        return execute(sql, params, many, context)


def main() -> None:
    """Ask everything twice and print the second time: the first one fills caches."""
    org_id = OutboundMessage.objects.values_list("org_id", flat=True)[:1].get()
    asked: dict[str, Callable[[], object]] = {
        "gauges": lambda: [*gauges.collect(), *limit_gauges.collect()],
        "counters": tallies.totals,
        "health of an organisation": lambda: health.measure(org_id, database.now()),
        "recount (hourly)": stock.recount,
    }
    found: list[dict[str, object]] = []
    for name, ask in asked.items():
        ask()
        explaining = _Explaining(name)
        with connection.execute_wrapper(explaining):
            ask()
        found += explaining.found
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
