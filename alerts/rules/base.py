"""What a rule returns, and the words all rules share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.severity import Severity

# An incident that goes on ends only below this share of its threshold, so that a figure that
# swings around the threshold is one incident.
CLOSES_BELOW = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something people should know, as one check saw it."""

    severity: Severity
    title: str
    summary: str
    size: float  # how bad; twice as much as when last told is worse
    key: str = ""
    org: str = ""  # public id; empty: the whole installation
    is_part: bool = False  # the installation has a finding of its own that tells of it too
    figures: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()  # rows of texts, the first with the headings
    advice: str = ""
    is_event: bool = False  # it has happened, and that is all: neither reminder nor end is told
    page: str = ""  # name of the console's page
    # Its filter; an organisation by its public id under "org".
    query: Mapping[str, str] = field(default_factory=dict)
    # Label sets under which it is counted; the counter is the rule's.
    labels: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """When the figures were read, and which incidents of the rule go on."""

    at: datetime
    open_keys: frozenset[str] = frozenset()

    def exceeds(self, value: float, threshold: float, key: str = "") -> bool:
        """Say whether the value is too high; what goes on has to fall clearly below."""
        if key in self.open_keys:
            return value > threshold * CLOSES_BELOW
        return value > threshold


def messages(count: int) -> str:
    """Return the number of messages in words."""
    return "1 message" if count == 1 else f"{count:,} messages"


def at_least(count: int, *, is_bounded: bool) -> str:
    """Return a count; one whose counting stopped says so."""
    return f"at least {count:,}" if is_bounded else f"{count:,}"


def span(length: timedelta) -> str:
    """Return a length of time in words, cut to its largest unit or two."""
    minutes = max(0, int(length.total_seconds() // 60))
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def moment(at: datetime | None) -> str:
    """Return a time in words."""
    return f"{at:%d %b %Y %H:%M} UTC" if at is not None else "–"
