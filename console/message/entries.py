"""What the timeline of a message is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

# The latest of each kind, at most: a message seldom has more than a dozen.
MOST = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: datetime  # by the clock of who saw it: Meta's tells whole seconds
    source: str  # what kind of thing, in a word
    title: str
    tone: str = "default"
    who: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""  # a request, as text
    url: str = ""
    learned_at: datetime | None = None  # when we wrote it down, if that differs

    @property
    def place(self) -> datetime:
        """Return where it stands in the order in which we learned of things."""
        return self.learned_at or self.at
