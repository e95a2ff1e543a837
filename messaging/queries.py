"""Read-only questions about the queue and the dead letters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min

from messaging.channels import error_table
from messaging.models.messages import (
    CONSENT_REVOKED,
    DELIVERY_UNKNOWN,
    EXPIRED,
    OUTSIDE_SERVICE_WINDOW,
    TEMPLATE_NOT_SENDABLE,
    MessageQuerySet,
)

TOP_CODES = 10
RECENT = timedelta(hours=24)

_OWN_CODES = {
    DELIVERY_UNKNOWN: (
        "No answer and no status came in time",
        "It may have been delivered. Requeue it if a repetition does no harm.",
    ),
    OUTSIDE_SERVICE_WINDOW: (
        "The customer service window had closed",
        "Send an approved template instead.",
    ),
    TEMPLATE_NOT_SENDABLE: (
        "Meta no longer lets the template be sent",
        "Its page under Templates says why. Use another one, or requeue once it is approved.",
    ),
    EXPIRED: ("The expiry passed first", "Send a new message if it is still wanted."),
    CONSENT_REVOKED: ("Consent was withdrawn", "Nothing to do: it must not be sent."),
    "TIMEOUT": (
        "The answer did not come in time",
        "A status may still prove it was sent; otherwise the policy decides.",
    ),
    "CONNECTION": (
        "The provider could not be reached",
        "It is tried again by itself; check network and DNS if it lasts.",
    ),
    "PAYLOAD": (
        "The message could not be built",
        "Correct the content and send it as a new message.",
    ),
}
_NO_ADVICE = ("A code we do not know", "Look it up in Meta's error reference.")


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often an error code ended messages, with its meaning and what to do."""

    code: str
    count: int
    title: str
    advice: str
    campaign: bool


@dataclass(frozen=True, slots=True)
class DlqReport:
    """The dead letter queue in numbers; campaign outcomes are counted apart."""

    total: int
    campaign: int
    by_channel: dict[str, int]
    by_org: dict[str, int]
    top_codes: list[CodeCount]  # of the last 24 hours
    oldest_failed_at: datetime | None
    generated_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def explain(code: str) -> tuple[str, str]:
    """Return the meaning of an error code and the advice for staff."""
    if code in _OWN_CODES:
        return _OWN_CODES[code]
    rule = error_table().lookup(code)
    return (rule.title, rule.advice) if rule else _NO_ADVICE


def known_codes() -> list[tuple[str, str]]:
    """Return the error codes we know with their meanings, our own first."""
    own = [(code, title) for code, (title, _advice) in _OWN_CODES.items()]
    return own + [(code, rule.title) for code, rule in error_table().rules.items()]


def campaign_codes() -> frozenset[str]:
    """Return the codes that are everyday results of marketing, not failures of ours."""
    return error_table().campaign_codes


def dlq_report(messages: MessageQuerySet, at: datetime) -> DlqReport:
    """Count the dead letters among the given messages."""
    dead = messages.dead()
    campaign = campaign_codes()
    operational = dead.exclude(error_code__in=campaign)
    by_channel = operational.values("channel").annotate(count=Count("pk")).order_by("channel")
    by_org = operational.values("org__org_id").annotate(count=Count("pk")).order_by("-count")
    codes = (
        dead.filter(failed_at__gt=at - RECENT)
        .values("error_code")
        .annotate(count=Count("pk"))
        .order_by("-count", "error_code")[:TOP_CODES]
    )
    return DlqReport(
        total=operational.count(),
        campaign=dead.filter(error_code__in=campaign).count(),
        by_channel={row["channel"]: row["count"] for row in by_channel},
        by_org={row["org__org_id"]: row["count"] for row in by_org[:TOP_CODES]},
        top_codes=[_code_count(row["error_code"], row["count"]) for row in codes],
        oldest_failed_at=operational.aggregate(oldest=Min("failed_at"))["oldest"],
        generated_at=at,
    )


def dead_letter_count(among: MessageQuerySet) -> int:
    """Return how many of these messages are dead letters, without campaign outcomes."""
    return sum(code.count for code in dead_by_code(among) if not code.campaign)


def dead_by_code(messages: MessageQuerySet) -> list[CodeCount]:
    """Count the dead letters among the messages by error code, the most frequent first.

    Without further conditions than on organisations it reads an index of dead letters only.
    """
    rows = messages.dead().values("error_code").annotate(count=Count("pk"))
    return [
        _code_count(row["error_code"], row["count"])
        for row in rows.order_by("-count", "error_code")
    ]


def _code_count(code: str, count: int) -> CodeCount:
    title, advice = explain(code)
    return CodeCount(code, count, title, advice, code in campaign_codes())
