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
HEADERS = ("at", "organization", "actor", "action", "target", "reason", "before", "after")


class _Echo:
    """A file that hands each line back."""

    def write(self, line: str) -> str:
        return line


def lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield the events as CSV, newest first, at most MOST_ROWS; a slice at a time in memory."""
    writer = csv.writer(_Echo())
    yield writer.writerow(HEADERS)
    left, below = MOST_ROWS, None
    while left:
        older = events.order_by("-id") if below is None else events.filter(id__lt=below)
        rows = list(older.order_by("-id").select_related("org")[: min(_BATCH, left)])
        for row in rows:
            yield writer.writerow(_cells(row))
        if len(rows) < _BATCH:
            return
        left, below = left - len(rows), rows[-1].pk


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
