"""What several processes and the database used between two moments, per message."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from bench import meters
from tests.e2e.stack import Process, Stack


@dataclass(frozen=True, slots=True)
class Reading:
    """All meters at one moment."""

    at: float
    messages: int
    database: meters.DatabaseCost
    cpu: Mapping[str, float]


class Panel:
    """The meters of an installation; ``count`` says how many messages are through."""

    def __init__(
        self, stack: Stack, connection: psycopg.Connection, count: Callable[[], int]
    ) -> None:
        self._connection, self._count = connection, count
        # Everything that runs now; what starts later is not watched.
        self._pids = {name: pid(process) for name, process in stack.processes.items() if process}
        self._pids["postgresql"] = meters.postmaster(connection)

    def read(self) -> Reading:
        """Read all of them."""
        return Reading(
            time.monotonic(),
            self._count(),
            meters.database_cost(self._connection),
            {name: meters.cpu_seconds(each) for name, each in self._pids.items() if each},
        )


def figures(before: Reading, after: Reading) -> dict[str, float | None]:
    """Return rate and costs of the messages between two readings."""
    count = max(1, after.messages - before.messages)
    cost = after.database.since(before.database)
    # All workers are one line of the table.
    used: dict[str, float] = {}
    for name, seconds in after.cpu.items():
        group = "sender" if name.startswith("worker") else name
        used[group] = used.get(group, 0.0) + seconds - before.cpu[name]
    return {
        "messages_per_second": count / (after.at - before.at),
        **{
            f"{name}_cpu_s_per_1000": seconds * 1000 / count
            for name, seconds in sorted(used.items())
        },
        "statements_per_message": _share(cost.statements, count),
        "key_checks_per_message": _share(cost.key_checks, count),
        "wal_bytes_per_message": cost.wal_bytes / count,
        "hot_share_of_updates": cost.hot_updates / max(1, cost.updates),
    }


def memory(watched: meters.PeakMemory) -> dict[str, float]:
    """Return the memory of the watched process: at the start, at the end and at most."""
    return {
        "sender_memory_start_mib": watched.first / meters.MEGABYTE,
        "sender_memory_end_mib": watched.last / meters.MEGABYTE,
        "sender_memory_peak_mib": watched.peak / meters.MEGABYTE,
    }


def pid(process: Process) -> int:
    """Return the process's id, 0 when it does not run."""
    return process.child.pid if process.child is not None and process.child.poll() is None else 0


def _share(total: int | None, count: int) -> float | None:
    return None if total is None else total / count
