"""A production installation for one measurement: real processes, four phone numbers."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench import meters
from tests.e2e.stack import Process, Stack
from tests.run import PRODUCTION_LIKE

NUMBERS = [f"20000000000000{n}" for n in range(1, 5)]
SETTINGS = {
    **PRODUCTION_LIKE,
    "CELERY_QUEUE": "bench",
    "WEB_WORKERS": "2",
    "WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA": "1000000000",
}


@contextmanager
def installed(
    options: Namespace, *, statuses: bool, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Stack, psycopg.Connection]]:
    """Yield an installation whose workers are not started yet, and its database."""
    sandbox = ["--latency-ms", str(options.latency_ms), "--status-delays-ms", "100,300,600"]
    sandbox += ["--statuses", str(statuses).lower(), "--ledger-size", "1000"]
    with (
        tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder,
        Stack(
            Path(folder),
            embedded=False,
            settings={**SETTINGS, **(settings or {})},
            sandbox=sandbox,
            start=["web"] if statuses else [],
        ) as stack,
        psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as connection,
    ):
        meters.count_statements(connection)
        for number in NUMBERS:
            stack.manage(
                *("connect_number", "acme", "--app-id", "300000000000001"),
                *("--waba-id", "100000000000001", "--phone-number-id", number, "--no-verify"),
            )
        connection.execute("UPDATE messaging_phonenumber SET messages_per_second = 1000")
        yield stack, connection


def serve(stack: Stack, workers: int) -> None:
    """Start the web with the views for comparison beside its own."""
    granian = str(Path(sys.executable).with_name("granian"))
    port = stack.base_url.rpartition(":")[2]
    command = [granian, "--interface", "wsgi", "--workers", str(workers)]
    command += ["--blocking-threads", "16", "--respawn-failed-workers"]
    command += ["--host", "127.0.0.1", "--port", port, "bench.intake_web:application"]
    stack.processes["web"] = Process(command, stack.env, stack.folder / "web.log")
    stack.start("web")


def beat(stack: Stack) -> None:
    """Start the scheduler as production does; the tests' own looks for changes more often."""
    command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--pidfile", ""]
    process = Process(command, stack.env, stack.folder / "beat.log")
    stack.processes["beat"] = process
    process.start()


def worker(
    stack: Stack,
    name: str,
    *,
    app: str = "config",
    threads: int = 2,
    settings: Mapping[str, str] | None = None,
) -> Process:
    """Start one more worker process."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "--pool", "threads"]
    command += ["--concurrency", str(threads), "-n", f"{name}@bench", "--without-mingle"]
    process = Process(command, {**stack.env, **(settings or {})}, stack.folder / f"{name}.log")
    stack.processes[name] = process
    process.start()
    return process
