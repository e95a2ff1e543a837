"""What alerting tells Prometheus; labels name no organisation and no address."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter

from alerts.severity import Severity
from messaging.models import OutboundMessage
from messaging.states import Status

STUCK = Counter(
    "outbound_message_stuck_alert_total",
    "Incidents of stuck messages told, by what was stuck.",
    ["channel", "status"],
)
HIGH_QUEUE_DEPTH = Counter(
    "outbound_message_high_queue_depth_alert_total", "Incidents of a long queue told."
)
DEAD_LETTERS = Counter(
    "outbound_message_dead_letter_alert_total", "Incidents of a large dead letter queue told."
)
HIGH_FAILURE_RATE = Counter(
    "outbound_message_high_failure_rate_alert_total",
    "Incidents of many failures told.",
    ["channel"],
)
ESCALATION = Counter(
    "outbound_message_escalation_alert_total",
    "Incidents of used-up attempts told.",
    ["channel"],
)
_OF_RULE = {
    "dlq": DEAD_LETTERS,
    "stuck": STUCK,
    "queue_depth": HIGH_QUEUE_DEPTH,
    "failure_rate": HIGH_FAILURE_RATE,
    "escalation": ESCALATION,
}

SENT = {
    outlet: Counter(
        f"outbound_alert_{outlet}_sent_total", f"Notices sent by {outlet}.", ["severity"]
    )
    for outlet in ("email", "slack", "webhook")
}
ERRORS = {
    outlet: Counter(
        f"outbound_alert_{outlet}_error_total", f"Tries by {outlet} that failed.", ["severity"]
    )
    for outlet in ("email", "slack", "webhook")
}


def count_finding(rule: str, labels: Iterable[tuple[str, ...]]) -> None:
    """Count something that is told, once for each set of labels."""
    counter = _OF_RULE.get(rule)
    if counter is None:
        return
    for values in labels:
        (counter.labels(*values) if values else counter).inc()


def count_sent(outlet: str, severity: str) -> None:
    """Count a notice that is through."""
    SENT[outlet].labels(severity).inc()


def count_error(outlet: str, severity: str) -> None:
    """Count a try that failed."""
    ERRORS[outlet].labels(severity).inc()


def begin() -> None:
    """Begin every series at 0."""
    for channel in OutboundMessage.Channel.values:
        HIGH_FAILURE_RATE.labels(channel)
        ESCALATION.labels(channel)
        for status in (Status.QUEUED, Status.SENDING):
            STUCK.labels(channel, status)
    for severity in Severity.values:
        for counter in (*SENT.values(), *ERRORS.values()):
            counter.labels(severity)
