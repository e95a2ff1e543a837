"""How long the console's pages take with a million messages, and how many queries."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping

from bench import console_seed, console_tables, installation, meters, seed
from bench.report import Report
from tests.e2e.stack import ROOT

CONTACTS = 20_000
SIZE = 1_000_000
LARGE = 5_000_000  # on request


def run(options: Namespace) -> Report:
    """Fill the tables, then open every page a few times in a process of its own."""
    size = LARGE if options.large else SIZE
    report = Report(
        "console",
        f"pages of the console with {size:,} messages, and as many rows in each large table",
    )
    with installation.installed(options, statuses=False) as (stack, connection):
        senders = seed.numbers(connection)
        seed.contacts(connection, senders, CONTACTS)
        console_seed.fill(connection, senders, size)
        console_tables.fill(connection, senders, size)
        environment = {**stack.env, "STATIC_ROOT": str(stack.folder / "static")}
        _python(["manage.py", "collectstatic", "--noinput", "--verbosity", "0"], environment)
        printed = _python(["-m", "bench.console_pages"], environment)
        pages: dict[str, dict[str, float]] = json.loads(printed.splitlines()[-1])
        for name, figures in pages.items():
            report.add(name, **figures)
        report.add("table", mib_with_indexes=meters.table_size(connection) / meters.MEGABYTE)
    return report


def _python(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run it and return what it printed; raise RuntimeError with its complaint."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout
