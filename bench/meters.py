"""What a run costs: CPU and memory of processes, statements and WAL of the database."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import psutil
import psycopg

MEGABYTE = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, living and gone, seconds."""
    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system
            if each is process:
                total += times.children_user + times.children_system
    return total


class PeakMemory:
    """Watches the memory of a process and its children while a run lasts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.first = self.last = self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(self.pid)
                family = [process, *process.children(recursive=True)]
                self.last = sum(each.memory_info().rss for each in family)
                self.first = self.first or self.last
                self.peak = max(self.peak, self.last)


@dataclass(frozen=True, slots=True)
class DatabaseCost:
    """What a run did to the database so far; statements are None where nobody counts them."""

    statements: int | None
    wal_bytes: int
    hot_updates: int
    updates: int

    def since(self, before: DatabaseCost) -> DatabaseCost:
        """Return the difference."""
        counted = self.statements is not None and before.statements is not None
        return DatabaseCost(
            (self.statements or 0) - (before.statements or 0) if counted else None,
            self.wal_bytes - before.wal_bytes,
            self.hot_updates - before.hot_updates,
            self.updates - before.updates,
        )


def database_cost(connection: psycopg.Connection) -> DatabaseCost:
    """Read the server's counters."""
    (wal,) = _one(connection, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    hot, updates = _one(
        connection,
        "SELECT coalesce(sum(n_tup_hot_upd), 0), coalesce(sum(n_tup_upd), 0) "
        "FROM pg_stat_user_tables WHERE relname = 'outbound_message'",
    )
    return DatabaseCost(_statements(connection), int(wal), int(hot), int(updates))


def count_statements(connection: psycopg.Connection) -> None:
    """Switch the counting on where the server can."""
    with suppress(psycopg.Error):
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _statements(connection: psycopg.Connection) -> int | None:
    try:
        (calls,) = _one(connection, "SELECT sum(calls) FROM pg_stat_statements")
    except psycopg.Error:
        return None
    return int(calls or 0)


def _one(connection: psycopg.Connection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def parent(pid: int) -> int:
    """Return the process that started this one."""
    return psutil.Process(pid).ppid()
