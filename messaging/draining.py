"""Running a batch job until nothing is left, or until the process is to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

# A job that never runs dry gives its thread back after this many batches.
MOST_BATCHES = 1000

# Set once the process is to stop: nothing more is claimed.
stopping = threading.Event()


def drain(job: Callable[[], int], *, rest: float = 0.0) -> None:
    """Run the job, batch by batch, until it finds nothing more or the process is to stop.

    ``rest`` is the pause after each batch, seconds, which leaves the database to others.
    """
    for _ in range(MOST_BATCHES):
        if stopping.is_set() or not job() or stopping.wait(rest):
            return
