"""What /metrics shows of the limits as they stand; no label names an organisation."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db.models import F, FloatField
from django.db.models.functions import Cast, Coalesce
from prometheus_client.core import GaugeMetricFamily, Metric

from orgs import database
from ratelimit import limiter
from ratelimit.models import WhatsAppRateLimit

# The organisations that have used most of their quota are shown by rank, not by name.
TOP = 10


def collect() -> Iterator[Metric]:
    """Return what is read when /metrics is: how full quotas are, and whether Redis is away."""
    use = GaugeMetricFamily(
        "outbound_limit_quota_use",
        "Share of its quota used by the organisation of each rank.",
        labels=["rank"],
    )
    for rank, share in enumerate(_shares(), start=1):
        use.add_metric([str(rank)], share)
    yield use
    yield GaugeMetricFamily(
        "outbound_limit_breaker_open",
        "1 while Redis is away and the database alone counts the limits.",
        value=limiter.redis_state() == "down",
    )


def _shares() -> list[float]:
    """Return the shares of their quotas that the busiest organisations have used."""
    limit = Coalesce("quota_limit", settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA)
    rows = WhatsAppRateLimit.objects.filter(reset_at__gt=database.now())
    shares = rows.annotate(share=Cast(F("messages_sent"), FloatField()) / Cast(limit, FloatField()))
    return list(shares.order_by("-share").values_list("share", flat=True)[:TOP])
