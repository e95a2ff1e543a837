"""What alerting tells Prometheus; labels name no organisation and no address."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.severity import Severity
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs import tallies
from orgs.tallies import Tally

STUCK = Tally(
    "outbound_message_stuck_alert_total",
    "Incidents of stuck messages told, by what was stuck.",
    ["channel", "status"],
)
HIGH_QUEUE_DEPTH = Tally(
    "outbound_message_high_queue_depth_alert_total", "Incidents of a long queue told.", []
)
DEAD_LETTERS = Tally(
    "outbound_message_dead_letter_alert_total", "Incidents of a large dead letter queue told.", []
)
HIGH_FAILURE_RATE = Tally(
    "outbound_message_high_failure_rate_alert_total",
    "Incidents of many failures told.",
    ["channel"],
)
ESCALATION = Tally(
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
    outlet: Tally(f"outbound_alert_{outlet}_sent_total", f"Notices sent by {outlet}.", ["severity"])
    for outlet in ("email", "slack", "webhook")
}
ERRORS = {
    outlet: Tally(
        f"outbound_alert_{outlet}_error_total", f"Tries by {outlet} that failed.", ["severity"]
    )
    for outlet in ("email", "slack", "webhook")
}


def count_finding(rule: str, labels: Iterable[tuple[str, ...]]) -> None:
    """Count something that is told, once for each set of labels; in its transaction."""
    tally = _OF_RULE.get(rule)
    if tally is not None:
        tallies.add([tally.line(*values) for values in labels])


def count_sent(outlet: str, severity: str) -> None:
    """Count a notice that is through; in the transaction that says so."""
    SENT[outlet].add(severity)


def count_error(outlet: str, severity: str) -> None:
    """Count a try that failed; likewise."""
    ERRORS[outlet].add(severity)


def begin() -> None:
    """Begin every series at 0."""
    for channel in OutboundMessage.Channel.values:
        HIGH_FAILURE_RATE.begin(channel)
        ESCALATION.begin(channel)
        for status in (Status.QUEUED, Status.SENDING):
            STUCK.begin(channel, status)
    for severity in Severity.values:
        for tally in (*SENT.values(), *ERRORS.values()):
            tally.begin(severity)
