"""What a run costs: CPU and memory of processes, statements and WAL of the database."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import LiteralString

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


def resident(pid: int) -> int:
    """Return the resident memory of a process and its children, bytes."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


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
                self.last = resident(self.pid)
                self.first = self.first or self.last
                self.peak = max(self.peak, self.last)


@dataclass(frozen=True, slots=True)
class DatabaseCost:
    """What a run did to the database so far; statements are None where nobody counts them."""

    statements: int | None
    key_checks: int | None  # PostgreSQL's own statements that check foreign keys
    wal_bytes: int
    hot_updates: int
    updates: int

    def since(self, before: DatabaseCost) -> DatabaseCost:
        """Return the difference."""
        return DatabaseCost(
            _difference(self.statements, before.statements),
            _difference(self.key_checks, before.key_checks),
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
    statements, checks = _statements(connection)
    return DatabaseCost(statements, checks, int(wal), int(hot), int(updates))


def count_statements(connection: psycopg.Connection) -> None:
    """Switch the counting on where the server can."""
    with suppress(psycopg.Error):
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _statements(connection: psycopg.Connection) -> tuple[int | None, int | None]:
    """Return the statements of clients, and those the foreign keys of deferred checks make."""
    try:
        sent, checks = _one(
            connection,
            """SELECT coalesce(sum(calls) FILTER (WHERE query NOT LIKE %(check)s), 0),
                coalesce(sum(calls) FILTER (WHERE query LIKE %(check)s), 0)
            FROM pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())""",
            {"check": "SELECT $2 FROM ONLY % FOR KEY SHARE OF x"},
        )
    except psycopg.Error:
        return None, None
    return int(sent), int(checks)


def table_size(connection: psycopg.Connection) -> int:
    """Return the size of the messages with their indexes, bytes."""
    (size,) = _one(connection, "SELECT pg_total_relation_size('outbound_message')")
    return size


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _one(
    connection: psycopg.Connection, query: LiteralString, parameters: dict[str, str] | None = None
) -> tuple[int, ...]:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return tuple(row)


def postmaster(connection: psycopg.Connection) -> int:
    """Return the process id of PostgreSQL, the parent of all its processes."""
    (backend,) = _one(connection, "SELECT pg_backend_pid()")
    return psutil.Process(backend).ppid()
