"""Every accepted send, in order, as far back as the memory goes."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

LARGEST_PAGE = 10_000


class Ledger:
    """A bounded list with a cursor that counts from the beginning."""

    def __init__(self, size: int) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=size)
        self._count = 0

    def add(self, entry: dict[str, Any]) -> None:
        """Append one accepted send."""
        self._count += 1
        entry["seq"] = self._count
        self._entries.append(entry)

    def page(self, since: int) -> dict[str, Any]:
        """Return the entries after the cursor and the next cursor."""
        forgotten = self._count - len(self._entries)
        start = max(0, since - forgotten)
        sends = list(islice(self._entries, start, start + LARGEST_PAGE))
        return {
            "next": sends[-1]["seq"] if sends else max(since, forgotten),
            "count": self._count,
            "truncated": since < forgotten,
            "sends": sends,
        }

    def clear(self) -> None:
        """Forget everything and count anew."""
        self._entries.clear()
        self._count = 0
