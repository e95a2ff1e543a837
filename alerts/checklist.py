"""All checks there are: what each reads, and the rule that judges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.readings import messages as message_figures
from alerts.readings import surroundings as surrounding_figures
from alerts.readings import webhooks as webhook_figures
from alerts.rules import messages as message_rules
from alerts.rules import surroundings as surrounding_rules
from alerts.rules.base import Finding, Moment
from alerts.thresholds import Thresholds

# What a check reads is what its rule takes; the table below is where they meet.
Read = Callable[[Thresholds, datetime], Any]
Rule = Callable[[Any, Thresholds, Moment], Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check; its name is also the rule's name of the incidents it finds."""

    name: str
    title: str
    read: Read
    rule: Rule


CHECKS = {
    check.name: check
    for check in (
        Check("dlq", "Dead letter queue", message_figures.dead_letters, message_rules.dead_letters),
        Check("stuck", "Stuck messages", message_figures.stuck, message_rules.stuck),
        Check("queue_depth", "Queue depth", message_figures.queue_depth, message_rules.queue_depth),
        Check("failure_rate", "Failure rate", message_figures.failures, message_rules.failure_rate),
        Check(
            "escalation", "Used-up attempts", message_figures.escalation, message_rules.escalation
        ),
        Check("expiring", "Expiring messages", message_figures.expiring, message_rules.expiring),
        Check("circuits", "Circuits", surrounding_figures.circuits, surrounding_rules.circuits),
        Check(
            "numbers", "Quality and tiers", surrounding_figures.numbers, surrounding_rules.numbers
        ),
        Check("quotas", "Quotas", surrounding_figures.quotas, surrounding_rules.quotas),
        Check(
            "silent_webhooks",
            "Silent webhooks",
            webhook_figures.silent_apps,
            surrounding_rules.silent_webhooks,
        ),
        Check("inbox", "Webhook inbox", webhook_figures.inbox, surrounding_rules.inbox),
        Check(
            "processes",
            "Workers and beat",
            surrounding_figures.processes,
            surrounding_rules.processes,
        ),
    )
}
