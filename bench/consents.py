"""How long a file of consents takes, and that memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace

from bench import installation
from bench.report import Report
from tests.e2e.stack import ROOT

SIZES = [1_000, 20_000]
LARGEST = 1_000_000  # on request: half an hour
TIMEOUT = 3 * 3600


def run(options: Namespace) -> Report:
    """Import, export and check files of each size, each in a process of its own."""
    report = Report("consents", "files of new people taken in and handed out again")
    sizes = [*SIZES, LARGEST] if options.large else SIZES
    with installation.installed(options, statuses=False) as (stack, _connection):
        offset = 0
        for size in sizes:
            done = subprocess.run(
                [sys.executable, "-m", "bench.importer", str(size), str(offset)],
                env=stack.env,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            offset += size
            figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            report.add(
                f"{size:,}",
                **figures,
                tried_per_s=size / figures["try_s"],
                recorded_per_s=size / figures["record_s"],
                exported_per_s=offset / figures["export_s"],
                checked_per_s=offset / figures["check_s"],
            )
    return report
