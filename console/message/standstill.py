"""What stood still that a message goes by: pauses, circuits and holds while it was under way."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from console.message.entries import MOST, Entry
from messaging import holding
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs import audit
from orgs.models import AuditEvent
from ratelimit import holds
from ratelimit.models import Hold

# What is audited when it begins, with the cause of the hold it places. The trail tells of it,
# and of the end of all others: what Meta stops is known from the hold alone while it lasts.
_OPENED = {
    "sending.paused": "Paused",
    "circuit.opened": "Circuit opened",
}
_CIRCUIT = Hold.Cause.PROVIDER_UNAVAILABLE
_UNDER_WAY = frozenset({Status.QUEUED, Status.SENDING})

_Standing = dict[tuple[str, str], Hold]  # by target of the audit trail, and cause


def read(message: OutboundMessage, reach: Collection[int] | None, now: datetime) -> list[Entry]:
    """Return what stopped what the message goes by, and what let it go on, the latest first.

    Who did what stops others too, and why, is only for those who reach them. A message that is
    under way is told of everything up to now.
    """
    number = message.phone_number
    until = now if message.status in _UNDER_WAY else message.updated_at
    scopes = [*holding.scopes(number), holding.template_key(message, number)]
    active = holds.active(now)
    standing = {
        (_target(scope, key), hold.cause): hold
        for scope, key in scopes
        for hold in active.get((scope, key), [])
        if hold.opened_at <= until
    }
    events = AuditEvent.objects.filter(
        target__in={_target(*place) for place in scopes}, at__gte=message.created_at, at__lte=until
    )
    told = [_done(event, standing, reach) for event in events.order_by("-id")[:MOST]]
    # Whoever opened a hold that is told of no more is not known, or the message is younger.
    told += [_stands(hold, reach) for hold in standing.values()]
    return sorted(told, key=lambda entry: entry.place, reverse=True)


def _target(scope: str, key: str) -> str:
    return audit.target(f"{scope}:{key}")


def _done(event: AuditEvent, standing: _Standing, reach: Collection[int] | None) -> Entry:
    """Return what was done; with the end of the hold, if it is the one in force."""
    is_theirs = reach is None or event.org_id in reach
    scope = _words(event.target.partition(":")[0])
    lines = [("Reason", event.reason)] if event.reason and is_theirs else []
    cause = str(((event.before or event.after) or {}).get("cause", ""))
    if event.action in _OPENED:
        title = f"{_OPENED[event.action]}: {scope}"
        # The latest comes first, and is the one that stands.
        hold = standing.pop((event.target, cause or _CIRCUIT), None)
        lines += _ends(hold) if hold else []
    elif event.action == "hold.lifted":
        title = f"Hold lifted: {cause.replace('_', ' ')} of {scope}"
    else:
        title = f"{_words(event.action).capitalize()}: {scope}"
    return Entry(
        event.at,
        "Hold",
        title,
        "warning" if event.action in _OPENED else "default",
        who=event.actor if is_theirs else "",
        lines=lines,
    )


def _stands(hold: Hold, reach: Collection[int] | None) -> Entry:
    is_theirs = reach is None or hold.org_id in reach
    detail = f"{hold.code} {hold.detail}".strip()
    return Entry(
        hold.opened_at,
        "Hold",
        f"On hold: {hold.get_scope_display().lower()}, {hold.get_cause_display().lower()}",
        "warning",
        lines=[*([("Told", detail)] if detail and is_theirs else []), *_ends(hold)],
    )


def _ends(hold: Hold) -> list[tuple[str, str]]:
    """Return until when a hold stands that stands now."""
    lines = [("In force", f"until {_time(hold.until)}" if hold.until else "until it is lifted")]
    if hold.probe_at is not None:
        lines.append(("Tried again", _time(hold.probe_at)))
    return lines


def _words(name: str) -> str:
    return name.replace(".", " ").replace("_", " ")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
