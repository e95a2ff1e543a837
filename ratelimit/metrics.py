"""What the limiter tells Prometheus; labels never name an organisation, a number or a person."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import F, FloatField
from django.db.models.functions import Cast, Coalesce
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orgs import database
from ratelimit.models import WhatsAppRateLimit
from ratelimit.rules import Limit, Verdict

# The organisations that have used most of their quota are shown by rank, not by name.
TOP = 10
# A scrape within this many seconds sees the same figures.
KEEP_SECONDS = 5.0
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
BREAKER_OPEN = Gauge(
    "outbound_limit_breaker_open",
    "1 while Redis is away and the database alone counts the limits.",
    multiprocess_mode="livemax",
)


def count(store: str, verdicts: Sequence[Verdict], begun: float) -> None:
    """Count one decision that began at that monotonic() time."""
    _seconds(store).observe(monotonic() - begun)
    for limit, number in Counts(verdict.limit for verdict in verdicts).items():
        _decisions(limit or GO, store).inc(number)


# Finding the series by its labels costs more than counting in it.
_seconds = cache(DECISION_SECONDS.labels)
_decisions = cache(DECISIONS.labels)


class QuotaUse(Collector):
    """The share of their quotas that the busiest organisations have used, by rank."""

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read the shares, at most once in a while."""
        family = GaugeMetricFamily(
            "outbound_limit_quota_use",
            "Share of its quota used by the organisation of each rank.",
            labels=["rank"],
        )
        for rank, share in enumerate(self._shares(), start=1):
            family.add_metric([str(rank)], share)
        yield family

    def _shares(self) -> list[float]:
        if monotonic() < self._until:
            return self._kept
        try:
            limit = Coalesce("quota_limit", settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA)
            rows = WhatsAppRateLimit.objects.filter(reset_at__gt=database.now())
            shares = rows.annotate(
                share=Cast(F("messages_sent"), FloatField()) / Cast(limit, FloatField())
            )
            top = shares.order_by("-share").values_list("share", flat=True)[:TOP]
            self._kept, self._until = list(top), monotonic() + KEEP_SECONDS
        except (DatabaseError, InterfaceError):
            return []  # the rest of the page is worth having
        return self._kept


def register() -> None:
    """Begin every series at 0 and add the gauge that is read from the database."""
    for store in ("redis", "database"):
        DECISION_SECONDS.labels(store)
        for limit in (GO, *Limit):
            DECISIONS.labels(limit, store)
    BREAKER_OPEN.set(0)
    REGISTRY.register(QuotaUse())
