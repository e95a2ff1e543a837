"""Runs benchmarks on private servers: `python -m bench [NAME …] [--seconds N]`.

The last line of output names the JSON file with all figures.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from bench import (
    alerts,
    consents,
    console,
    dispatch,
    fairness,
    gauges,
    growth,
    idle,
    intake,
    limits,
    webhook_crash,
    webhooks,
)
from bench.report import Report
from tests import services

BENCHMARKS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "alerts": alerts.run,
    "console": console.run,
    "consents": consents.run,
    "crash": webhook_crash.run,
    "dispatch": dispatch.run,
    "fairness": fairness.run,
    "gauges": gauges.run,
    "growth": growth.run,
    "idle": idle.run,
    "intake": intake.run,
    "limits": limits.run,
    "webhooks": webhooks.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run the chosen benchmarks, all by default, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a measurement")
    parser.add_argument("--latency-ms", type=int, default=200, help="of the sandbox's answers")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument(
        "--large",
        action="store_true",
        help="growth: ten million rows too; consents: a million; console: five million",
    )
    parser.add_argument(
        "--messages", type=int, help="rows of the table; alerts: a million, gauges: 200,000"
    )
    parser.add_argument(
        "--part", choices=limits.PARTS, help="limits: only the decisions, or only the API"
    )
    parser.add_argument("--output", default="var/bench", help="folder for the JSON files")
    options = parser.parse_args(arguments)
    if "DATABASE_URL" not in os.environ:
        return services.main(["--durable", "--", sys.executable, "-m", "bench", *arguments])
    for name in options.names or BENCHMARKS:
        report = BENCHMARKS[name](options)
        report.show()
        print(f"Written to {report.write(options.output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
