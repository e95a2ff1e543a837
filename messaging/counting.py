"""From the moves of messages to what is counted of them, in the same transaction.

Besides the counters two numbers are kept that go up and down: how many messages are on their
way, and how many lie in the dead letter queue by error code. Counting the rows themselves
would take the longer the more there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol

from messaging import metrics
from messaging.states import Status
from orgs import tallies
from orgs.tallies import Line

QUEUE_DEPTH = "outbound_message_queue_depth"
DLQ_SIZE = "outbound_message_dlq_size"
# On their way: neither sent nor at an end.
OPEN = frozenset({Status.QUEUED, Status.SENDING})


class Counted(Protocol):
    """What is asked of a message."""

    channel: str
    status: str
    error_code: str
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None


@dataclass(slots=True)
class Standing:
    """Where a message stood before it was changed."""

    status: str
    error_code: str
    sent_at: datetime | None
    delivered_at: datetime | None

    @classmethod
    def of(cls, row: Counted) -> Standing:
        """Take down where it stands."""
        return cls(row.status, row.error_code, row.sent_at, row.delivered_at)


def difference(before: Standing, row: Counted, *, retries: bool) -> Iterator[Line]:
    """Return what a change makes to be counted; ``retries``: after an attempt that counted."""
    if before.sent_at is None and row.sent_at is not None:
        yield metrics.SENT.line(row.channel)
    if before.status == row.status:
        return
    entered = (row.status in OPEN) - (before.status in OPEN)
    if entered:
        yield queue_line(row.channel, entered)
    if before.status == Status.FAILED:
        yield dlq_line(row.channel, before.error_code, -1)
    if row.status == Status.FAILED:
        yield metrics.FAILED.line(row.channel, metrics.code_label(row.error_code))
        yield dlq_line(row.channel, row.error_code, 1)
    elif row.status == Status.QUEUED and retries:
        yield metrics.RETRIED.line(row.channel)


def note_delivery(before: Standing, row: Counted) -> None:
    """Measure how long a message took that is now known to be delivered."""
    begun = row.accepted_at or row.sent_at
    if before.delivered_at is None and row.delivered_at is not None and begun is not None:
        seconds = (row.delivered_at - begun).total_seconds()
        metrics.delivery_seconds(row.channel).observe(max(0.0, seconds))


def accepted(channels: Iterable[str]) -> None:
    """Count new messages, by their channels."""
    counts = Counter(channels).items()
    tallies.add(line for channel, count in counts for line in accepted_lines(channel, count))


def sent_from_claim(channels: Iterable[str]) -> None:
    """Count messages the provider has taken at the first answer, by their channels."""
    tallies.add(
        line
        for channel, count in Counter(channels).items()
        for line in (metrics.SENT.line(channel, by=count), queue_line(channel, -count))
    )


def accepted_lines(channel: str, count: int) -> list[Line]:
    """Return what so many new messages count."""
    return [metrics.QUEUED.line(channel, by=count), queue_line(channel, count)]


def queue_line(channel: str, by: float) -> Line:
    """Return so many more, or fewer, messages on their way."""
    return Line(QUEUE_DEPTH, _of_channel(channel), by)


@cache
def _of_channel(channel: str) -> str:
    return tallies.labels_text({"channel": channel})


def dlq_line(channel: str, code: str, by: float) -> Line:
    """Return so many more, or fewer, dead letters with an error code."""
    labels = {"channel": channel, "error_code": metrics.code_label(code)}
    return Line(DLQ_SIZE, tallies.labels_text(labels), by)
