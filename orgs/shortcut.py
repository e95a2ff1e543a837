"""The shorter way to a view: answers made before Django, and what the view is told otherwise.

What is refused or fails there is handed on to the view, which tells of it as of anything else
but does nothing again: a fault may have come after the work was done.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

# Under this name the WSGI environment, and so `request.META`, holds an Answer or an Exception.
OUTCOME = "outbound.outcome"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is answered, with the headers that are the view's own."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"  # Django's, where nothing else is said
    headers: Sequence[tuple[str, str]] = ()

    def as_response(self) -> HttpResponse:
        """Return it as Django wants it."""
        return HttpResponse(
            self.body,
            status=self.status,
            content_type=self.content_type,
            headers=dict(self.headers),
        )


def outcome(meta: MutableMapping[str, Any]) -> Answer | None:
    """Take the answer already found for the request, if any; raise what was raised there.

    It is taken out: an exception knows the frames it went through, and these the request. Left
    in a circle, bodies would stay until the collector comes round.
    """
    found: Answer | Exception | None = meta.pop(OUTCOME, None)
    try:
        if isinstance(found, Exception):
            raise found
        return found
    finally:
        del found
