"""Counters that are true whatever is killed or restarted: counted where the facts are stored.

A tally grows in the transaction that records what it counts. Its value is the sum of rows, one
for each database connection: no transaction ever waits for the counter of another, nor
minds the order in which it takes it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Sum
from prometheus_client import Counter

from orgs import database
from orgs.models import MetricTally

# Rows of a connection that has not counted for so long are added to the common ones.
IDLE_AFTER = timedelta(hours=1)
FOLD_MOST = 5000
COMMON = 0  # the shard of what belongs to no connection
LONGEST_LABEL = 64
LONGEST_LABELS = 500  # as text

Key = tuple[str, str]  # name of the sample, labels as text


@dataclass(frozen=True, slots=True)
class Line:
    """So many more of one series."""

    name: str
    labels: str
    by: float


class Tally:
    """A counter of facts, shown on /metrics; its name ends in ``_total``."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        """Declare it, once and at module level; labels are few and bounded words."""
        self.name = name
        self._labels = tuple(labels)
        # Never counted in: it tells the page the name, the text and which series begin at 0.
        self._declared = Counter(name, documentation, self._labels)
        self._texts: dict[tuple[str, ...], str] = {}  # of the series counted so far: few

    def begin(self, *values: str) -> None:
        """Show the series from the start, as 0."""
        if values:
            self._declared.labels(*values)

    def line(self, *values: str, by: float = 1) -> Line:
        """Return what counts so many of a series, for ``tallies.add``."""
        text = self._texts.get(values)
        if text is None:
            text = self._texts[values] = labels_text(self._named(values))
        return Line(self.name, text, by)

    def add(self, *values: str, by: float = 1) -> None:
        """Count so many of a series; inside the transaction of what is counted."""
        add([self.line(*values, by=by)])

    def value(self, *values: str) -> float:
        """Return how many were counted."""
        line = self.line(*values, by=0)
        rows = MetricTally.objects.filter(name=line.name, labels=line.labels)
        return rows.aggregate(value=Sum("value"))["value"] or 0.0

    def _named(self, values: tuple[str, ...]) -> dict[str, str]:
        return {
            name: value[:LONGEST_LABEL] for name, value in zip(self._labels, values, strict=True)
        }


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as they are stored: the same text for the same labels."""
    return json.dumps(labels, sort_keys=True, separators=(",", ":"))


def add(lines: Iterable[Line]) -> int:
    """Count all of them by one statement, if there is anything; return how many series grew."""
    sums: dict[Key, float] = defaultdict(float)
    for line in lines:
        sums[line.name, line.labels] += line.by
    grown = {key: value for key, value in sums.items() if value}
    write(grown)
    return len(grown)


def write(sums: Mapping[Key, float], *, common: bool = False) -> None:
    """Add to the rows of this connection, or to the common ones: those in a transaction of its own.

    In a larger transaction two writers of common rows could wait for each other.
    """
    if not sums:
        return
    keys = sorted(sums)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            shard = str(COMMON) if common else "pg_backend_pid()"
            cursor.execute(
                _ADD_ON_POSTGRES.format(shard=shard),
                [
                    *([name for name, _ in keys], [text for _, text in keys]),
                    [float(sums[key]) for key in keys],  # psycopg takes no list of both kinds
                ],
            )
        else:
            now = database.now()
            cursor.executemany(
                _ADD_ON_SQLITE, [(name, text, COMMON, sums[name, text], now) for name, text in keys]
            )


def totals(*names: str) -> dict[Key, float]:
    """Return the sum of every series, or of those with these names; one query of a small table."""
    asked = MetricTally.objects.filter(name__in=names) if names else MetricTally.objects.all()
    rows = asked.values_list("name", "labels").annotate(sum=Sum("value"))
    return {(name, labels): value for name, labels, value in rows}


def fold() -> int:
    """Add rows of connections long gone to the common ones; return how many went.

    A connection lives an hour or so, and each leaves its rows behind.
    """
    if connection.vendor != "postgresql":
        return 0  # there are common rows only
    with connection.cursor() as cursor:
        cursor.execute(_FOLD, [COMMON, IDLE_AFTER.total_seconds(), FOLD_MOST, COMMON])
        (folded,) = cursor.fetchone()
    return int(folded)


_ON_CONFLICT = """ON CONFLICT (name, labels, shard) DO UPDATE
SET value = kept.value + excluded.value, updated_at = excluded.updated_at"""

_ADD_ON_POSTGRES = f"""
INSERT INTO metric_tally AS kept (name, labels, shard, value, updated_at)
SELECT given.name, given.labels, {{shard}}, given.value, statement_timestamp()
FROM unnest(%s::text[], %s::text[], %s::float8[]) AS given (name, labels, value)
{_ON_CONFLICT}"""  # noqa: S608 - put together from constants

_ADD_ON_SQLITE = f"""
INSERT INTO metric_tally AS kept (name, labels, shard, value, updated_at)
VALUES (%s, %s, %s, %s, %s) {_ON_CONFLICT}"""  # noqa: S608 - as above

# One statement, so that a reader sees a value before or after, but never twice or not at all.
_FOLD = f"""
WITH idle AS (
    SELECT name, labels, shard FROM metric_tally
    WHERE shard <> %s AND updated_at < statement_timestamp() - make_interval(secs => %s)
    ORDER BY name, labels, shard LIMIT %s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM metric_tally AS each USING idle
    WHERE (each.name, each.labels, each.shard) = (idle.name, idle.labels, idle.shard)
    RETURNING each.name, each.labels, each.value
), folded AS (
    INSERT INTO metric_tally AS kept (name, labels, shard, value, updated_at)
    SELECT name, labels, %s, sum(value), statement_timestamp() FROM gone
    GROUP BY name, labels ORDER BY name, labels
    {_ON_CONFLICT}
)
SELECT count(*) FROM gone"""  # noqa: S608 - as above
