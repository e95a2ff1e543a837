"""What follows from a history of decisions: the one rule of the present answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

from consent.models import Decision, Source

# Of two decisions of the same moment the stricter one counts.
_STRICTNESS = {Decision.GRANTED: 0, Decision.DENIED: 1, Decision.REVOKED: 2}


class Decided(Protocol):
    """What the rule asks of one decision."""

    @property
    def status(self) -> str: ...  # noqa: D102 - a Decision
    @property
    def source(self) -> str: ...  # noqa: D102 - a Source
    @property
    def proof(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def occurred_at(self) -> datetime: ...  # noqa: D102


_Event = TypeVar("_Event", bound=Decided)


def present(history: Iterable[_Event]) -> _Event | None:
    """Return the decision that holds now; None when there is none. Order does not matter.

    The latest by the time of deciding, except that a STOP stands until the person, or a proof of
    agreement dated later, undoes it: another refusal does not take its place, and an import never
    opens it. What the person tells Meta stands apart: a stop there holds until it is taken back
    there, or undone like any STOP; taking it back restores the answer from before and grants
    nothing by itself. Decisions of equal weight at one moment count in the given order.
    """
    own, at_meta, last_stop = _follow(history)
    return at_meta or own or last_stop


def stops(history: Iterable[_Event]) -> list[_Event]:
    """Return the STOPs that stand, what the person told us before what they told Meta."""
    return [
        event
        for event in _follow(history)[:2]
        if event is not None and is_stop(event.status, event.source)
    ]


def _follow(
    history: Iterable[_Event],
) -> tuple[_Event | None, _Event | None, _Event | None]:
    """Return our own last word, the stop that stands at Meta, and the last stop there."""
    own: _Event | None = None
    at_meta: _Event | None = None
    last_stop: _Event | None = None
    for event in sorted(history, key=_place):
        granted = event.status == Decision.GRANTED
        if event.source == Source.PROVIDER:
            at_meta = None if granted else event
            last_stop = at_meta or last_stop
        elif granted:
            if all(may_follow(event, earlier) for earlier in (own, at_meta)):
                own, at_meta = event, None
        elif own is None or not _outlasts(own, event):
            own = event
    return own, at_meta, last_stop


def _outlasts(earlier: Decided, refusal: Decided) -> bool:
    """Say whether a STOP stays in front of a refusal that says less."""
    return is_stop(earlier.status, earlier.source) and not is_stop(refusal.status, refusal.source)


def is_stop(status: str, source: str) -> bool:
    """Say whether a decision is the person's own wish for no more messages."""
    return status == Decision.REVOKED and source in {Source.PERSON, Source.PROVIDER}


def may_follow(grant: Decided, earlier: Decided | None) -> bool:
    """Say whether an agreement counts after what was decided earlier: not after any STOP."""
    if earlier is None or not is_stop(earlier.status, earlier.source):
        return True
    if grant.source == Source.IMPORT or grant.occurred_at <= earlier.occurred_at:
        return False
    return grant.source == Source.PERSON or bool(grant.proof)


def _place(event: Decided) -> tuple[datetime, int]:
    return event.occurred_at, _STRICTNESS[Decision(event.status)]
