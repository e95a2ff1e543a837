"""What the limiter tells Prometheus; labels never name an organisation, a number or a person."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Sequence
from functools import cache
from time import monotonic

from prometheus_client import Counter, Histogram

from ratelimit.rules import Limit, Verdict

GO = "none"

DECISIONS = Counter(
    "outbound_limit_decisions_total",
    "Messages decided on, by the limit that held them (none: let go) and by the store.",
    ["limit", "store"],
)
DECISION_SECONDS = Histogram(
    "outbound_limit_decision_seconds",
    "Time of one decision on a batch, seconds.",
    ["store"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)


def count(store: str, verdicts: Sequence[Verdict], begun: float) -> None:
    """Count one decision that began at that monotonic() time."""
    _seconds(store).observe(monotonic() - begun)
    for limit, number in Counts(verdict.limit for verdict in verdicts).items():
        _decisions(limit or GO, store).inc(number)


# Finding the series by its labels costs more than counting in it.
_seconds = cache(DECISION_SECONDS.labels)
_decisions = cache(DECISIONS.labels)


def register() -> None:
    """Begin every series at 0."""
    for store in ("redis", "database"):
        _seconds(store)
        for limit in (GO, *Limit):
            _decisions(limit, store)
