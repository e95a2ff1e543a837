"""Whether anybody is at work: workers and beat, by their own word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from console import links
from messaging import heartbeats
from messaging.heartbeats import Pulse
from messaging.models import Heartbeat


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes of one kind."""

    name: str
    alive: int
    seen: str  # in words
    is_missing: bool
    url: str  # of those at work, or of those seen last; empty: they are not for this person


def read(now: datetime, *, of_all: bool) -> list[Crew]:
    """Return what is known of each kind of process, by one query.

    The list of processes is for those who reach every organisation.
    """
    return [
        Crew(
            kind.label,
            pulse.alive,
            _ago(pulse.age),
            pulse.is_missing,
            _list(kind, pulse) if of_all else "",
        )
        for kind, pulse in heartbeats.pulses(now).items()
    ]


def _list(kind: Heartbeat.Kind, pulse: Pulse) -> str:
    at_work = {} if pulse.is_missing else {"at_work": "yes"}
    return links.page("messaging_heartbeat_changelist", kind__exact=kind.value, **at_work)


def _ago(age: timedelta | None) -> str:
    if age is None:
        return "never seen"
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"seen {seconds // size} {unit} ago"
    return f"seen {seconds} s ago"
