"""Finding, and taking out, what a webhook as received says about one person."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from messaging.providers.whatsapp import webhook
from messaging.providers.whatsapp.errors import ErrorTable

# The members of a status that name its recipient.
_RECIPIENT = (
    "recipient_id",
    "recipient_user_id",
    "parent_recipient_user_id",
    "parent_user_id",
    "recipient_participant_id",
    "recipient_participant_user_id",
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A payload without the person, and the places of the events that were about them."""

    body: bytes
    positions: frozenset[int]


def needles(phone: str | None, bsuid: str | None) -> list[str]:
    """Return the texts by which Meta names a person."""
    return [name for name in ((phone or "").lstrip("+"), bsuid or "") if name]


def named_in(status: Any) -> list[str]:
    """Return the texts by which a status names whom it is about."""
    found = [status.get(key) for key in _RECIPIENT] if isinstance(status, dict) else []
    return [name for name in found if isinstance(name, str) and name]


def about(
    body: bytes, names: Sequence[str], positions: Collection[int], table: ErrorTable
) -> list[tuple[int, Any]]:
    """Return places and raw events that mention one of the names or stand at a position."""
    content = _load(body)
    if content is None:
        return []
    mentions = _pattern(names)
    return [
        (position, raw)
        for position, raw in _events(content, table)
        if position in positions or _mentioned(raw, mentions)
    ]


def without(
    body: bytes,
    names: Sequence[str],
    positions: Collection[int],
    keep: Container[int],
    table: ErrorTable,
) -> Cleaned:
    """Return the payload with these events, and who they name, emptied; but none in ``keep``.

    Every other event stays in its place. A body that cannot be read becomes empty, and so does
    one that still names the person without anything to keep being the reason.
    """
    content = _load(body)
    if content is None:
        return Cleaned(b"", frozenset())
    mentions = _pattern(names)
    found: set[int] = set()
    needed = False
    for position, raw in _events(content, table):
        mentioned = _mentioned(raw, mentions)
        if position in keep:
            needed |= mentioned
        elif mentioned or position in positions:
            found.add(position)
            _empty(raw)
    for value in _emptied_values(content):
        for person in value.get("contacts") or ():
            if _mentioned(person, mentions):
                _empty(person)
    cleaned = orjson.dumps(content)
    if not needed and mentions.search(cleaned.decode()):
        return Cleaned(b"", frozenset(found))
    return Cleaned(cleaned, frozenset(found))


def _load(body: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    readable = isinstance(content, dict) and isinstance(content.get("entry"), list)
    return content if readable else None


def _events(content: Mapping[str, Any], table: ErrorTable) -> Iterator[tuple[int, Any]]:
    """Yield the places and raw parts as processing sees them; the parts are the content's own."""
    for position, event in enumerate(webhook.events(content["entry"], table)):
        yield position, event.raw


def _emptied_values(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values of which at least one event was emptied."""
    for entry in content["entry"]:
        for change in (entry.get("changes") or ()) if isinstance(entry, dict) else ():
            value = change.get("value") if isinstance(change, dict) else None
            if not isinstance(value, dict) or not isinstance(value.get("contacts"), list):
                continue
            if any(webhook.ERASED in part for part in value.values() if isinstance(part, list)):
                yield value


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Return what finds a name that is not part of a longer one."""
    if not names:
        return re.compile(r"(?!)")
    return re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?![\w])" for name in names))


def _mentioned(raw: Any, mentions: re.Pattern[str]) -> bool:
    return mentions.search(orjson.dumps(raw).decode()) is not None


def _empty(raw: Any) -> None:
    if isinstance(raw, dict):
        raw.clear()
        raw.update(webhook.ERASED)
    elif isinstance(raw, list):
        raw.clear()
