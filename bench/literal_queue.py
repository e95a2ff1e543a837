"""Starts the literal design: fills its queue and runs its worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench import installation
from tests.e2e.stack import ROOT, Stack

NAME = "worker-literal"
THREADS = 64
SETTINGS = {"DATABASE_POOL_SIZE": str(THREADS + 4)}


def publish(stack: Stack, count: int) -> None:
    """Publish a task for each of the first queued messages."""
    subprocess.run(
        [sys.executable, "-m", "bench.literal", str(count)],
        env={**stack.env, **SETTINGS},
        cwd=ROOT,
        timeout=300,
        check=True,
    )


@contextmanager
def worker(stack: Stack) -> Iterator[None]:
    """Run the worker; what it has not sent by the end stays undone."""
    process = installation.worker(
        stack, NAME, app="bench.literal", threads=THREADS, settings=SETTINGS
    )
    try:
        yield
    finally:
        process.stop(seconds=60)
        del stack.processes[NAME]
