"""Identifiers that are random yet sort by time."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime

_RANDOM_BITS = 74


def uuid7() -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, 74 random bits.

    New rows land at the end of the primary key's index, where a random one would touch
    a page of its own each time.
    """
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    noise = secrets.randbits(_RANDOM_BITS)
    high, low = noise >> 62, noise & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def first_uuid7(at: datetime) -> uuid.UUID:
    """Return the smallest id that could have been made at that time."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


def time_of(identifier: uuid.UUID) -> datetime:
    """Return when an id of ``uuid7`` was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
