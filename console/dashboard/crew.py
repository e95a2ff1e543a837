"""Whether anybody is at work: workers and beat, by their own word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from messaging import heartbeats


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes of one kind."""

    name: str
    alive: int
    seen: str  # in words
    is_missing: bool


def read(now: datetime) -> list[Crew]:
    """Return what is known of each kind of process, by one query."""
    return [
        Crew(kind.label, pulse.alive, _ago(pulse.age), pulse.is_missing)
        for kind, pulse in heartbeats.pulses(now).items()
    ]


def _ago(age: timedelta | None) -> str:
    if age is None:
        return "never seen"
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"seen {seconds // size} {unit} ago"
    return f"seen {seconds} s ago"
