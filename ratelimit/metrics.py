"""What the limiter tells Prometheus; labels never name an organisation, a number or a person."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from time import monotonic

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ratelimit.rules import Limit, Verdict

GO = "none"
STORES = ("redis", "database")
# Upper bounds of the histogram, seconds.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, inf)


@dataclass(slots=True)
class _Tally:
    """What one store has decided."""

    messages: dict[Limit | None, int] = field(
        default_factory=lambda: dict.fromkeys((None, *Limit), 0)
    )
    decisions: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))  # by how long they took
    seconds: float = 0.0


class _Decisions(Collector):
    """Counts all of a decision under one lock.

    The library's own counters take a lock and several calls each: together a good part of a
    decision in Redis.
    """

    def __init__(self) -> None:
        self._tallies = {store: _Tally() for store in STORES}
        self._lock = threading.Lock()

    def count(self, store: str, verdicts: Sequence[Verdict], begun: float) -> None:
        """Count one decision that began at that monotonic() time."""
        took = monotonic() - begun
        tally = self._tallies[store]
        messages = tally.messages
        with self._lock:
            tally.seconds += took
            tally.decisions[bisect_left(BOUNDS, took)] += 1
            for verdict in verdicts:
                messages[verdict.limit] += 1

    def collect(self) -> Iterator[Metric]:
        """Return every series, those at 0 too."""
        messages = CounterMetricFamily(
            "outbound_limit_decisions",
            "Messages decided on, by the limit that held them (none: let go) and by the store.",
            labels=["limit", "store"],
        )
        seconds = HistogramMetricFamily(
            "outbound_limit_decision_seconds",
            "Time of one decision on a batch, seconds.",
            labels=["store"],
        )
        with self._lock:
            for store, tally in self._tallies.items():
                for limit, number in tally.messages.items():
                    messages.add_metric([limit or GO, store], number)
                counts = zip(map(floatToGoString, BOUNDS), accumulate(tally.decisions), strict=True)
                seconds.add_metric([store], list(counts), tally.seconds)
        yield messages
        yield seconds


_decisions = _Decisions()

count = _decisions.count


def register() -> None:
    """Show the counts on /metrics."""
    REGISTRY.register(_decisions)
