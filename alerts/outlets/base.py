"""What every outlet is given, and how it says that it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from alerts.models import Notice
from alerts.severity import Severity

Kind = Notice.Kind


class OutletError(Exception):
    """The notice did not get through; the text names no address and no secret.

    A permanent error stays however often it is tried; ``retry_after`` is the other side's wish,
    seconds.
    """

    def __init__(
        self, text: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice with all that its outlet needs."""

    notice_id: int
    alert_id: int | None
    outlet: str
    kind: str
    severity: str
    content: Mapping[str, Any]
    created_at: datetime
    recipients: tuple[str, ...] = ()
    url: str = ""
    secret: str = ""

    @property
    def is_resolved(self) -> bool:
        """Say whether it tells of an end."""
        return self.kind == Kind.RESOLVED

    @property
    def headline(self) -> str:
        """Return the one line that says it all: how bad, what, and what is new."""
        title = self.content["title"]
        if self.kind == Kind.RESOLVED:
            return f"Resolved: {title}"
        if self.kind == Kind.REPORT:
            return str(title)
        word = Severity(self.severity).label
        return f"{word}: {title}{_SUFFIX.get(Kind(self.kind), '')}"

    @property
    def link(self) -> str:
        """Return the address of the console's page about it; empty: there is none."""
        page = self.content.get("page", "")
        return f"{settings.OUTBOUND_PUBLIC_URL}{page}" if page else ""


_SUFFIX = {
    Kind.REMINDER: " (still open)",
    Kind.WORSE: " (worse)",
    Kind.AGAIN: " (back again)",
}
