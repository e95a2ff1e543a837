"""Read-only questions about the queue and the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q

from messaging.channels import error_table
from messaging.models.messages import (
    CANCELLED_BY_CLIENT,
    CANCELLED_BY_STAFF,
    CONSENT_REVOKED,
    DELIVERY_UNKNOWN,
    DISCARDED,
    EXPIRED,
    OUTSIDE_SERVICE_WINDOW,
    TEMPLATE_NOT_SENDABLE,
    MessageQuerySet,
)
from messaging.providers.base import Outcome
from orgs.models import Organization

TOP_CODES = 10
RECENT = timedelta(hours=24)
# Dead letters that nobody has decided on for so long are told apart.
OLD = timedelta(days=7)

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
    CANCELLED_BY_CLIENT: ("Cancelled through the API", "Nothing to do: it was not wanted."),
    CANCELLED_BY_STAFF: ("Cancelled by staff", "Nothing to do: the timeline says who and why."),
    DISCARDED: (
        "Discarded from the dead letter queue",
        "Nothing to do: the timeline says who and why. For a day it can be undone.",
    ),
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
class Trend:
    """How many of the dead letters failed in the last 24 hours, and in the 24 hours before."""

    last_24h: int
    previous_24h: int

    @property
    def change(self) -> int:
        """Return the difference; above 0 when it gets worse."""
        return self.last_24h - self.previous_24h


@dataclass(frozen=True, slots=True)
class Action:
    """What staff should do about some of the dead letters."""

    text: str
    code: str  # empty: not about one code
    count: int
    requeue: bool  # sending them again is likely to help


@dataclass(frozen=True, slots=True)
class DlqReport:
    """The dead letter queue in numbers; campaign outcomes are counted apart."""

    total: int
    campaign: int
    by_channel: dict[str, int]
    by_org: dict[str, int]  # by public id, the largest first
    top_codes: list[CodeCount]  # of the last 24 hours
    oldest_failed_at: datetime | None
    trend: Trend
    actions: list[Action]
    generated_at: datetime


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
    """Count the dead letters among the given messages.

    One statement, which the index of failed messages answers without reading them.
    """
    yesterday, before = at - RECENT, at - 2 * RECENT
    rows = list(
        messages.dead()
        .order_by()
        .values("org_id", "channel", "error_code")
        .annotate(
            count=Count("*"),
            oldest=Min("failed_at"),
            old=Count("failed_at", filter=Q(failed_at__lte=at - OLD)),
            last=Count("failed_at", filter=Q(failed_at__gt=yesterday)),
            previous=Count("failed_at", filter=Q(failed_at__gt=before, failed_at__lte=yesterday)),
        )
    )
    campaign = campaign_codes()
    ours = [row for row in rows if row["error_code"] not in campaign]
    codes = _top(_summed(rows, "error_code", "last"))
    return DlqReport(
        total=_sum(ours, "count"),
        campaign=_sum(rows, "count") - _sum(ours, "count"),
        by_channel=dict(sorted(_summed(ours, "channel", "count").items())),
        by_org=_named(_summed(ours, "org_id", "count")),
        top_codes=[_code_count(code, count) for code, count in codes],
        oldest_failed_at=min((row["oldest"] for row in ours if row["oldest"]), default=None),
        trend=Trend(_sum(ours, "last"), _sum(ours, "previous")),
        actions=_actions(_summed(ours, "error_code", "count"), _sum(ours, "old")),
        generated_at=at,
    )


def dead_letter_count(among: MessageQuerySet) -> int:
    """Return how many of these messages are dead letters, without campaign outcomes."""
    return sum(code.count for code in dead_by_code(among) if not code.campaign)


def dead_by_code(messages: MessageQuerySet) -> list[CodeCount]:
    """Count the dead letters among the messages by error code, the most frequent first.

    Without further conditions than on organisations it reads an index of dead letters only.
    """
    rows = messages.dead().values("error_code").annotate(count=Count("*"))
    return [
        _code_count(row["error_code"], row["count"])
        for row in rows.order_by("-count", "error_code")
    ]


def _code_count(code: str, count: int) -> CodeCount:
    title, advice = explain(code)
    return CodeCount(code, count, title, advice, code in campaign_codes())


def _actions(codes: Counter[str], old: int) -> list[Action]:
    """Return what to do, for the most frequent codes first."""
    actions = []
    for code, count in _top(codes):
        title, advice = explain(code)
        rule = error_table().lookup(code)
        passes = rule is not None and rule.outcome in {Outcome.RETRY, Outcome.THROTTLED}
        what = f"{count:,} with {code or 'no code'} ({title}): {advice}"
        actions.append(Action(what, code, count, passes or code == DELIVERY_UNKNOWN))
    if old:
        text = f"{old:,} failed more than {OLD.days} days ago: requeue or discard them."
        actions.append(Action(text, "", old, requeue=False))
    return actions


def _top(counts: Counter[str]) -> list[tuple[str, int]]:
    found = [(code, count) for code, count in counts.items() if count]
    return sorted(found, key=lambda item: (-item[1], item[0]))[:TOP_CODES]


def _summed(rows: Iterable[Mapping[str, Any]], key: str, value: str) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for row in rows:
        counts[row[key]] += row[value]
    return counts


def _sum(rows: Iterable[Mapping[str, Any]], value: str) -> int:
    return sum(row[value] for row in rows)


def _named(counts: Counter[int]) -> dict[str, int]:
    """Return the counts by the organisations' public ids, the largest first."""
    names = dict(Organization.objects.filter(pk__in=list(counts)).values_list("pk", "org_id"))
    return {names[pk]: count for pk, count in counts.most_common()}
