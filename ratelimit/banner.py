"""What the console says on every page while Redis is away."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest

from ratelimit import limiter


def context(_request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """Give the templates a question they may ask; asked only where a page shows the answer."""
    return {"redis_is_away": is_away}


def is_away() -> bool:
    """Say whether Redis should be there and is not; the breaker keeps the question cheap."""
    return limiter.redis_state() == "down"
