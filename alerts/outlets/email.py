"""E-mail: the same in HTML and in text."""

from __future__ import annotations

import smtplib
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from alerts.outlets.base import Kind, Letter, OutletError
from alerts.rules.base import moment
from alerts.severity import Severity

# Background of the badge and of the rule above; each is readable under white text.
COLOURS = {Severity.INFO: "#1d4ed8", Severity.WARNING: "#b45309", Severity.CRITICAL: "#b91c1c"}
RESOLVED = "#15803d"
# Addresses and mailboxes the server will not take, however often they are offered.
_PERMANENT = range(500, 600)
# What the badge does not say.
_NOTED = (Kind.REMINDER, Kind.WORSE, Kind.AGAIN, Kind.TEST)


def send(letter: Letter) -> None:
    """Send it to all recipients; raise OutletError."""
    if not letter.recipients:
        text = "There is no recipient"
        raise OutletError(text, permanent=True)
    if not can_send():
        text = "EMAIL_URL is not set"
        raise OutletError(text, permanent=True)
    message = compose(letter)
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _text in error.recipients.values()}
        text = f"The mail server refused every recipient ({', '.join(map(str, sorted(codes)))})"
        raise OutletError(text, permanent=all(c in _PERMANENT for c in codes)) from error
    except smtplib.SMTPResponseException as error:
        raise OutletError(f"The mail server answered {error.smtp_code}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise OutletError(f"No mail server ({type(error).__name__})") from error


def can_send() -> bool:
    """Say whether EMAIL_URL was set: without it Django's own backend for nothing is in place."""
    return settings.EMAIL_BACKEND != "django.core.mail.backends.dummy.EmailBackend"


def compose(letter: Letter) -> EmailMultiAlternatives:
    """Return the mail; those of one incident are one conversation."""
    context = _context(letter)
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    headers = {
        # The same at each try, so that the mail system knows a repetition.
        "Message-ID": f"<notice-{letter.notice_id}@{host}>",
        "Auto-Submitted": "auto-generated",
    }
    if letter.alert_id is not None:
        headers["References"] = f"<incident-{letter.alert_id}@{host}>"
    message = EmailMultiAlternatives(
        subject=f"[Outbound] {' '.join(letter.headline.split())}",
        body=render_to_string("alerts/email/notice.txt", context),
        to=list(letter.recipients),
        headers=headers,
    )
    message.attach_alternative(render_to_string("alerts/email/notice.html", context), "text/html")
    return message


def _context(letter: Letter) -> dict[str, Any]:
    severity = Severity(letter.severity)
    table = letter.content.get("table", [])
    return {
        "letter": letter,
        **letter.content,
        "word": "Resolved" if letter.is_resolved else severity.label,
        "note": Kind(letter.kind).label if letter.kind in _NOTED else "",
        "colour": RESOLVED if letter.is_resolved else COLOURS[severity],
        "headings": table[0] if table else [],
        "rows": table[1:],
        "console": settings.OUTBOUND_PUBLIC_URL,
        "is_report": letter.kind == Kind.REPORT,
        "opened": _time(letter.content.get("opened_at")),
        "resolved": _time(letter.content.get("resolved_at")),
    }


def _time(text: str | None) -> str:
    return moment(datetime.fromisoformat(text)) if text else ""
