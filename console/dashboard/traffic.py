"""What was sent, delivered and failed lately, from the counted minutes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from console import chart
from console.chart import Chart
from console.dashboard.queue import Figure
from messaging import activity
from messaging.activity import MINUTE, Totals
from messaging.models import OutboundMessage

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
STEP = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class ChannelRate:
    """How much of what was tried over a channel failed in the last hour."""

    name: str
    totals: Totals
    url: str

    @property
    def percent(self) -> float | None:
        """Return the rate in percent; None when nothing was tried."""
        rate = self.totals.failure_rate
        return None if rate is None else 100 * rate


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last hour in figures and the last day as a picture."""

    sent: Figure
    delivered: Figure
    failed: Figure
    p50: float | None  # seconds from the message's time to the phone
    p95: float | None
    channels: list[ChannelRate]
    chart: Chart

    @property
    def figures(self) -> list[Figure]:
        """Return the counts of the last hour."""
        return [self.sent, self.delivered, self.failed]


def read(now: datetime, orgs: Collection[int] | None) -> Traffic:
    """Return the figures, by four queries of counted minutes."""
    end = now.replace(second=0, microsecond=0) + MINUTE
    hour = activity.between(end - HOUR, end, orgs)
    by_channel = activity.by_channel(hour)
    p50, p95 = activity.percentiles(hour, (0.5, 0.95))
    # Whole steps, so that the bars do not change their heights while they are looked at.
    last = end - timedelta(minutes=end.minute % 30) + (STEP if end.minute % 30 else timedelta())
    day = activity.between(last - DAY, last, orgs)
    steps = activity.by_time(day, last - DAY, last, STEP)
    lists = chart.lists(end - HOUR, end)
    total = sum(by_channel.values(), Totals())
    return Traffic(
        Figure("Sent in the last hour", total.sent, lists.sent),
        Figure("Delivered in the last hour", total.delivered, lists.delivered),
        Figure("Failed in the last hour", total.failed, lists.failed),
        p50,
        p95,
        _rates(by_channel, lists.failed),
        chart.draw(steps, STEP),
    )


def _rates(by_channel: dict[str, Totals], url: str) -> list[ChannelRate]:
    return [
        ChannelRate(OutboundMessage.Channel(channel).label, totals, url)
        for channel, totals in (by_channel or {OutboundMessage.Channel.WHATSAPP: Totals()}).items()
    ]
