"""From which figures on people are told: the settings as one value, for pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The specification's figures by default."""

    dead_letters: int = 100
    stuck_attempts: int = 3
    stuck_age: timedelta = timedelta(hours=2)
    queue_depth: int = 1_000
    failure_rate: float = 0.30
    failure_minimum: int = 10  # messages below which a rate says nothing
    window: timedelta = timedelta(minutes=60)
    escalation_attempts: int = 5
    webhook_silence: timedelta = timedelta(minutes=15)
    unmatched: int = 100
    webhook_lag: timedelta = timedelta(minutes=5)
    expiring: int = 10


def current() -> Thresholds:
    """Return what the settings say."""
    return Thresholds(
        dead_letters=settings.OUTBOUND_ALERT_DLQ_THRESHOLD,
        stuck_attempts=settings.OUTBOUND_ALERT_STUCK_MESSAGE_THRESHOLD_ATTEMPTS,
        stuck_age=timedelta(hours=settings.OUTBOUND_ALERT_STUCK_MESSAGE_AGE_HOURS),
        queue_depth=settings.OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD,
        failure_rate=settings.OUTBOUND_ALERT_FAILURE_RATE_THRESHOLD,
        failure_minimum=settings.OUTBOUND_ALERT_FAILURE_RATE_MINIMUM,
        window=timedelta(minutes=settings.OUTBOUND_ALERT_TIME_WINDOW_MINUTES),
        escalation_attempts=settings.OUTBOUND_ALERT_ESCALATION_ATTEMPTS,
        webhook_silence=timedelta(minutes=settings.OUTBOUND_ALERT_WEBHOOK_SILENCE_MINUTES),
        unmatched=settings.OUTBOUND_ALERT_UNMATCHED_WEBHOOKS_THRESHOLD,
        expiring=settings.OUTBOUND_ALERT_EXPIRING_THRESHOLD,
    )
