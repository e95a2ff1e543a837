"""The figures of the first page: a few bounded queries, whatever the size of the tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from console import incidents
from console.dashboard import crew, numbers, queue, traffic
from orgs import database


def read(orgs: Collection[int] | None = None) -> dict[str, Any]:
    """Return what the dashboard shows, of all organisations or of these only."""
    now = database.now()
    depth = queue.depth(orgs)
    return {
        "now": now,
        "queue": depth,
        "in_flight": queue.in_flight(orgs),
        "dead": queue.dead(orgs),
        "traffic": traffic.read(now, orgs),
        "incidents": incidents.read(orgs),
        "crew": crew.read(now, of_all=orgs is None),
        "numbers": numbers.read(now, orgs, depth.by_number),
    }
