"""What is counted and measured of messages; no label names an organisation, number or person.

Tallies are facts, written in the transaction that makes them. Histograms are measured by each
process and brought together by ``orgs.measures``.
"""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import Counter, Histogram

from messaging.models import OutboundMessage, WebhookEvent
from messaging.models.messages import (
    DELIVERY_UNKNOWN,
    OUTSIDE_SERVICE_WINDOW,
    TEMPLATE_NOT_SENDABLE,
)
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from orgs.tallies import Tally

QUEUED = Tally(
    "outbound_message_queued_total", "Messages accepted for sending, each once.", ["channel"]
)
SENT = Tally(
    "outbound_message_sent_total",
    "Messages the provider has taken, each once however often it was sent.",
    ["channel"],
)
FAILED = Tally(
    "outbound_message_failed_total",
    "Moves of messages to the dead letter queue; one that fails again counts again.",
    ["channel", "error_code"],
)
RETRIED = Tally(
    "outbound_message_retry_total",
    "Messages queued again after an attempt that counted; waiting for a limit is none.",
    ["channel"],
)

DELIVERY_SECONDS = Histogram(
    "outbound_delivery_latency_seconds",
    "From the provider's acceptance of a message to its delivery, by the provider's times.",
    ["channel"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 86_400),
)
CALL_SECONDS = Histogram(
    "outbound_provider_call_seconds",
    "Time of one call to the provider.",
    ["channel", "outcome"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30),
)
WEBHOOK_LAG_SECONDS = Histogram(
    "outbound_webhook_lag_seconds",
    "From storing a webhook to its being applied.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
WEBHOOK_EVENTS = Counter(
    "outbound_webhook_events_total", "Events found in webhooks, by what came of them.", ["result"]
)

OTHER = "other"
NONE = "none"
_OWN_CODES = (DELIVERY_UNKNOWN, OUTSIDE_SERVICE_WINDOW, TEMPLATE_NOT_SENDABLE)
# Meta's codes are numbers, ours are words in capitals.
_CODE = re.compile(r"\d{1,7}|[A-Z_]{1,32}")


def code_label(code: str) -> str:
    """Return an error code as a label: whatever is neither Meta's nor ours is ``other``."""
    if not code:
        return NONE
    return code if _CODE.fullmatch(code) else OTHER


# Finding a series by its labels costs more than counting in it.
delivery_seconds = cache(DELIVERY_SECONDS.labels)
call_seconds = cache(CALL_SECONDS.labels)
webhook_events = cache(WEBHOOK_EVENTS.labels)


def begin() -> None:
    """Begin the series of the one channel that sends, and of all results, at 0.

    Also those of the codes we know: of a series that begins with 50 failures Prometheus would see
    no increase.
    """
    channel = OutboundMessage.Channel.WHATSAPP.value
    for tally in (QUEUED, SENT, RETRIED):
        tally.begin(channel)
    for code in sorted({*DEFAULT_TABLE.rules, *_OWN_CODES}):
        FAILED.begin(channel, code_label(code))
    delivery_seconds(channel)
    for result in WebhookEvent.Result.values:
        webhook_events(result)
