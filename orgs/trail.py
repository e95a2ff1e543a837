"""The audit trail as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from orgs.models import AuditEvent

# More than this in one file is a job for the database's own tools.
MOST_ROWS = 100_000
_BATCH = 2_000
CUT = f"CUT: only the newest {MOST_ROWS:,} entries are in this file; filter by time for the others"
HEADERS = ("at", "organization", "actor", "action", "target", "reason", "before", "after")


class _Echo:
    """A file that hands each line back."""

    def write(self, line: str) -> str:
        return line


def lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield the events as CSV, newest first, at most MOST_ROWS; a slice at a time in memory.

    Where there are more the last row says so: a file that is cut must not pass for the whole.
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(HEADERS)
    left, below = MOST_ROWS, None
    while left:
        most = min(_BATCH, left)
        rows = list(_older(events, below).select_related("org")[:most])
        for row in rows:
            yield writer.writerow(_cells(row))
        if len(rows) < most:
            return
        left, below = left - most, rows[-1].pk
    if _older(events, below).exists():
        yield writer.writerow([CUT, *[""] * (len(HEADERS) - 1)])


def _older(events: QuerySet[AuditEvent], below: int | None) -> QuerySet[AuditEvent]:
    return (events if below is None else events.filter(id__lt=below)).order_by("-id")


def _cells(event: AuditEvent) -> list[str]:
    return [
        event.at.isoformat(),
        event.org.org_id if event.org else "",
        *map(_harmless, (event.actor, event.action, event.target, event.reason)),
        _json(event.before),
        _json(event.after),
    ]


def _harmless(text: str) -> str:
    """Keep a spreadsheet from taking what somebody typed for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
