"""Deleting usage that counts no more, in batches small enough to stall nobody."""

from __future__ import annotations

from django.db import connection

from orgs import database
from ratelimit import reach
from ratelimit.rules import micros

BATCH = 2000
# One run gives its thread back after this many batches; the next goes on.
MOST_BATCHES = 500

_OLD = "SELECT number_id, contact_id FROM ratelimit_pair WHERE free_at < %s LIMIT %s"
_FORGET = f"DELETE FROM ratelimit_pair WHERE (number_id, contact_id) IN ({_OLD})"  # noqa: S608 - constants
# A claim that wants one of these pairs is not waited for: it needs the row after all.
_FORGET_AROUND_CLAIMS = _FORGET.replace("LIMIT %s", "LIMIT %s FOR UPDATE SKIP LOCKED")


def forget_old() -> int:
    """Delete one batch of paid debts and of people reached long ago; return how many rows."""
    now = micros(database.now())
    sql = _FORGET_AROUND_CLAIMS if connection.vendor == "postgresql" else _FORGET
    with connection.cursor() as cursor:
        cursor.execute(sql, [now, BATCH])
        pairs = int(cursor.rowcount)
    return pairs + reach.forget_old(now, BATCH)
