"""Small counts beside the entries of the sidebar."""

from __future__ import annotations

from django.http import HttpRequest

from messaging import queries


def dead_letters(_request: HttpRequest) -> str:
    """Return the size of the dead letter queue."""
    return str(queries.dead_letter_count())
