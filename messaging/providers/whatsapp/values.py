"""Single values of Meta's JSON, which writes numbers and times now this way, now that."""

from __future__ import annotations

from datetime import UTC, datetime

# Unix milliseconds have 13 digits since 2001, seconds will have 10 until 2286.
_MILLISECONDS_FROM = 10**12


def text(value: object) -> str:
    """Return text or a whole number as text, without the NUL PostgreSQL refuses; else ""."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def moment(value: object) -> datetime:
    """Return an event's time: Unix seconds as text or number, by some senders milliseconds.

    Raises ValueError, or OverflowError, for anything else.
    """
    number = int(text(value))
    if number >= _MILLISECONDS_FROM:
        number //= 1000
    return datetime.fromtimestamp(number, UTC)


def e164(digits: str) -> str:
    """Return a wa_id as E.164 with +; empty for what is no number."""
    digits = digits.lstrip("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and len(digits) < 16 else ""
