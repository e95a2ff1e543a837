"""Where a figure leads: the list of what it counts."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse


def messages(**filters: object) -> str:
    """Return the address of the list of messages with some filters set."""
    return _with(reverse("admin:messaging_outboundmessage_changelist"), filters)


def became(what: str, begin: datetime, end: datetime, **filters: object) -> str:
    """Return the address of the messages that were sent, delivered or failed in that time."""
    bounds = {"became_from": f"{begin:%Y-%m-%dT%H:%M}", "became_until": f"{end:%Y-%m-%dT%H:%M}"}
    return messages(became=what, **bounds, **filters)


def page(name: str, *arguments: object, **filters: object) -> str:
    """Return the address of a page of the console by its name: ``app_model_changelist``."""
    return _with(reverse(f"admin:{name}", args=arguments), filters)


def _with(address: str, filters: dict[str, object]) -> str:
    return f"{address}?{urlencode(filters)}" if filters else address
