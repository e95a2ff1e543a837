"""What is told of one rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: whether the message passes, what the answer rests on, and when it changes."""

    name: str
    passed: bool | None  # None: not asked yet, and the detail says why
    detail: str
    until: datetime | None = None  # a rule that fails without it waits for somebody …
    changes: str = ""  # … unless this says for what
    is_final: bool = False  # it ends the message instead of holding it


def at(moment: datetime) -> str:
    """Return a time as the page writes it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
