"""Deleting usage that counts no more, in batches small enough to stall nobody."""

from __future__ import annotations

from django.db import connection

from orgs import database
from ratelimit.rules import DAY, micros

# Pages of a table that one statement goes through: some 40,000 rows.
PAGES = 400


def forget_old() -> int:
    """Delete paid debts and people reached long ago; return how many rows.

    Each table is gone through once, without an index: one on a time that every send moves
    would cost each send more than this costs.
    """
    now = micros(database.now())
    return _forget("ratelimit_pair", "free_at", now) + _forget(
        "ratelimit_reach", "last_at", now - DAY
    )


def _forget(table: str, column: str, before: int) -> int:
    """Delete the rows whose time has passed, a range of pages after the other."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.execute(f"DELETE FROM {table} WHERE {column} < %s", [before])  # noqa: S608 - constants
            return int(cursor.rowcount)
        cursor.execute(
            "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int", [table]
        )
        (pages,) = cursor.fetchone()
        count = 0
        for first in range(0, pages, PAGES):
            span: list[str | int] = [f"({first},0)", f"({first + PAGES},0)", before]
            cursor.execute(_FORGET.format(table=table, column=column), span)
            count += int(cursor.rowcount)
    return count


# A claim that wants one of these rows is not waited for: it is about to renew it, and what it
# has renewed is not deleted.
_FORGET = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table}
    WHERE ctid >= %s::tid AND ctid < %s::tid AND {column} < %s
    FOR UPDATE SKIP LOCKED
))
"""
