"""System checks: settings under which alerts would not arrive are refused at start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from alerts.outlets import email, http


@register("alerts")
def slack_url_fits(**_kwargs: Any) -> list[CheckMessage]:
    """The Slack URL of the settings may be used."""
    url = settings.OUTBOUND_ALERT_SLACK_WEBHOOK_URL
    problem = http.problem_of(url, only=http.SLACK_HOST) if url else ""
    if not problem:
        return []
    return [
        Error(
            f"OUTBOUND_ALERT_SLACK_WEBHOOK_URL cannot be used. {problem}",
            hint="Copy it from Slack: https://hooks.slack.com/services/…",
            id="alerts.E001",
        )
    ]


@register("alerts")
def mail_can_be_sent(**_kwargs: Any) -> list[CheckMessage]:
    """There is a mail server for those who are to get mail."""
    if email.can_send() or not settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS:
        return []
    return [
        Error(
            "OUTBOUND_ALERT_EMAIL_RECIPIENTS is set, but there is no mail server.",
            hint="Set EMAIL_URL, such as smtp+tls://user:password@mail.example.org:587.",
            id="alerts.E002",
        )
    ]
