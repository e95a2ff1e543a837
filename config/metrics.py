"""The Prometheus page: the same whichever web process answers, as far as it can be."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from json import loads
from threading import Lock
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from messaging import gauges
from orgs import measures, tallies
from ratelimit import gauges as limit_gauges

# A scrape within this many seconds sees the same gauges.
KEEP_SECONDS = 5.0
_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to who has the token, or asks from an allowed network.

    With neither of them set, only the embedded profile shows them.
    """
    if not settings.OUTBOUND_METRICS_TOKEN and not settings.OUTBOUND_METRICS_NETWORKS:
        if not settings.OUTBOUND_EMBEDDED:
            return HttpResponseNotFound()
    elif not (_has_token(request) or _is_near(request)):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(PAGE), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    token = settings.OUTBOUND_METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return bool(token) and hmac.compare_digest(given.encode(), token.encode())


def _is_near(request: HttpRequest) -> bool:
    """Say whether the peer itself is in an allowed network; no header is believed."""
    try:
        peer = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a socket of this machine
        return False
    return any(peer in network for network in settings.OUTBOUND_METRICS_NETWORKS)


class Page(Collector):
    """All families: this process's own, those of all processes together, and the gauges."""

    def __init__(self) -> None:
        self._kept: list[Metric] = []
        self._until = 0.0
        self._lock = Lock()

    def collect(self) -> Iterator[Metric]:
        """Return the families; those that need the database are left out while it is away."""
        for family in REGISTRY.collect():
            if not family.name.startswith(measures.PREFIXES):
                yield family
        up = 1
        try:
            yield from [*_brought_together(), *self._gauges()]
        except (DatabaseError, InterfaceError):
            connection.close()
            up = 0
        yield GaugeMetricFamily(
            "outbound_database_up", "1 while the database answers this page.", value=up
        )

    def forget(self) -> None:
        """Have the next scrape read the gauges anew."""
        self._until = 0.0

    def _gauges(self) -> list[Metric]:
        with self._lock:
            if monotonic() >= self._until:
                self._kept = [*gauges.collect(), *limit_gauges.collect()]
                self._until = monotonic() + KEEP_SECONDS
            return self._kept


PAGE = Page()


def _brought_together() -> Iterator[Metric]:
    """Return the counters and histograms with the sums of all processes as their samples."""
    measures.publish()
    sums: dict[str, dict[tallies.Key, float]] = defaultdict(dict)
    for key, value in tallies.totals().items():
        sums[_family_of(key[0])][key] = value
    for family in measures.families():
        # A series that begins at 0 is there before anybody has counted in it.
        samples = {
            (sample.name, tallies.labels_text(sample.labels)): 0.0 for sample in family.samples
        }
        samples |= sums[family.name]
        family.samples = _in_order(Sample(*_named(key), value) for key, value in samples.items())
        yield family


def _family_of(sample: str) -> str:
    for suffix in _SUFFIXES:
        if sample.endswith(suffix):
            return sample.removesuffix(suffix)
    return sample


def _named(key: tallies.Key) -> tuple[str, dict[str, str]]:
    return key[0], loads(key[1])


def _in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples series by series, the buckets of a histogram by their bounds."""

    def order(sample: Sample) -> tuple[list[tuple[str, str]], str, float]:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        return sorted(labels.items()), sample.name, float(sample.labels.get("le", 0))

    return sorted(samples, key=order)
