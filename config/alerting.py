"""The settings of alerts and of the mail they go out by; part of config.settings."""

from __future__ import annotations

from config import env

__all__ = [
    "DEFAULT_FROM_EMAIL",
    "OUTBOUND_ALERT_COOLDOWN_MINUTES",
    "OUTBOUND_ALERT_DAILY_REPORT",
    "OUTBOUND_ALERT_DLQ_THRESHOLD",
    "OUTBOUND_ALERT_EMAIL_ENABLED",
    "OUTBOUND_ALERT_EMAIL_RECIPIENTS",
    "OUTBOUND_ALERT_ENABLED",
    "OUTBOUND_ALERT_ESCALATION_ATTEMPTS",
    "OUTBOUND_ALERT_EXPIRING_THRESHOLD",
    "OUTBOUND_ALERT_FAILURE_RATE_MINIMUM",
    "OUTBOUND_ALERT_FAILURE_RATE_THRESHOLD",
    "OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD",
    "OUTBOUND_ALERT_SLACK_ENABLED",
    "OUTBOUND_ALERT_SLACK_WEBHOOK_URL",
    "OUTBOUND_ALERT_STUCK_MESSAGE_AGE_HOURS",
    "OUTBOUND_ALERT_STUCK_MESSAGE_THRESHOLD_ATTEMPTS",
    "OUTBOUND_ALERT_TIME_WINDOW_MINUTES",
    "OUTBOUND_ALERT_TRUSTED_HOSTS",
    "OUTBOUND_ALERT_UNMATCHED_WEBHOOKS_THRESHOLD",
    "OUTBOUND_ALERT_WEBHOOK_SILENCE_MINUTES",
    "OUTBOUND_PUBLIC_URL",
]

# False: nothing is checked and nobody is told.
OUTBOUND_ALERT_ENABLED = env.flag("OUTBOUND_ALERT_ENABLED", default=True)

# From which figures on people are told.
OUTBOUND_ALERT_STUCK_MESSAGE_THRESHOLD_ATTEMPTS = env.whole(
    "OUTBOUND_ALERT_STUCK_MESSAGE_THRESHOLD_ATTEMPTS", 3, at_least=1, at_most=1000
)
OUTBOUND_ALERT_STUCK_MESSAGE_AGE_HOURS = env.whole(
    "OUTBOUND_ALERT_STUCK_MESSAGE_AGE_HOURS", 2, at_least=1, at_most=8760
)
OUTBOUND_ALERT_DLQ_THRESHOLD = env.whole("OUTBOUND_ALERT_DLQ_THRESHOLD", 100)
OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD = env.whole(
    "OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD", 1000, at_most=10_000_000
)
OUTBOUND_ALERT_FAILURE_RATE_THRESHOLD = env.share("OUTBOUND_ALERT_FAILURE_RATE_THRESHOLD", 0.30)
# Fewer messages than this say nothing about a rate.
OUTBOUND_ALERT_FAILURE_RATE_MINIMUM = env.whole(
    "OUTBOUND_ALERT_FAILURE_RATE_MINIMUM", 10, at_least=1
)
# How far back the failure rate and used-up attempts are looked at.
OUTBOUND_ALERT_TIME_WINDOW_MINUTES = env.whole(
    "OUTBOUND_ALERT_TIME_WINDOW_MINUTES", 60, at_least=1, at_most=1440
)
OUTBOUND_ALERT_ESCALATION_ATTEMPTS = env.whole(
    "OUTBOUND_ALERT_ESCALATION_ATTEMPTS", 5, at_least=1, at_most=1000
)
OUTBOUND_ALERT_EXPIRING_THRESHOLD = env.whole(
    "OUTBOUND_ALERT_EXPIRING_THRESHOLD", 10, at_most=1_000_000
)
OUTBOUND_ALERT_WEBHOOK_SILENCE_MINUTES = env.whole(
    "OUTBOUND_ALERT_WEBHOOK_SILENCE_MINUTES", 15, at_least=1, at_most=300
)
OUTBOUND_ALERT_UNMATCHED_WEBHOOKS_THRESHOLD = env.whole(
    "OUTBOUND_ALERT_UNMATCHED_WEBHOOKS_THRESHOLD", 100, at_most=10_000
)

# An incident that goes on is told again after so long, unless somebody acknowledged it.
OUTBOUND_ALERT_COOLDOWN_MINUTES = env.whole("OUTBOUND_ALERT_COOLDOWN_MINUTES", 60, at_least=1)

# Who is told of every incident from a warning on, beside the routes in the console.
OUTBOUND_ALERT_EMAIL_ENABLED = env.flag("OUTBOUND_ALERT_EMAIL_ENABLED", default=True)
OUTBOUND_ALERT_EMAIL_RECIPIENTS = env.words("OUTBOUND_ALERT_EMAIL_RECIPIENTS")
OUTBOUND_ALERT_SLACK_ENABLED = env.flag("OUTBOUND_ALERT_SLACK_ENABLED", default=True)
OUTBOUND_ALERT_SLACK_WEBHOOK_URL = env.text("OUTBOUND_ALERT_SLACK_WEBHOOK_URL", "")
# The recipients above also get the report of the dead letter queue once a day.
OUTBOUND_ALERT_DAILY_REPORT = env.flag("OUTBOUND_ALERT_DAILY_REPORT", default=False)
# Hosts beside hooks.slack.com that may stand for Slack; webhooks may go to these without TLS
# and inside our own network.
OUTBOUND_ALERT_TRUSTED_HOSTS = env.words("OUTBOUND_ALERT_TRUSTED_HOSTS")

DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Outbound <outbound@localhost>")
# Where people open the console; mails and notices link there.
OUTBOUND_PUBLIC_URL = env.url(
    "OUTBOUND_PUBLIC_URL",
    next(iter(env.words("CSRF_TRUSTED_ORIGINS")), "http://localhost:8000"),
    schemes=["https", "http"],
).rstrip("/")
