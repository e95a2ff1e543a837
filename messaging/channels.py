"""From a channel to the provider that sends for it."""

from __future__ import annotations

import json
from functools import cache
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from messaging.providers.base import Provider
from messaging.providers.whatsapp.errors import DEFAULT_TABLE, ErrorTable


def provider(channel: str) -> Provider:
    """Make the channel's provider, with connections of its own.

    Raises KeyError for a channel that has none.
    """
    make = import_string(settings.OUTBOUND_PROVIDERS[channel])
    return cast(
        Provider,
        make(
            base_url=settings.WHATSAPP_CLOUD_API_BASE_URL,
            version=settings.WHATSAPP_GRAPH_VERSION,
            table=error_table(),
            transport=settings.OUTBOUND_TRANSPORT,
            concurrency=settings.OUTBOUND_SEND_CONCURRENCY,
            connect_timeout=settings.OUTBOUND_CONNECT_TIMEOUT_SECONDS,
            read_timeout=settings.OUTBOUND_READ_TIMEOUT_SECONDS,
        ),
    )


@cache
def error_table() -> ErrorTable:
    """Return Meta's error table with the operators' changes."""
    return DEFAULT_TABLE.with_overrides(json.loads(settings.WHATSAPP_ERROR_OVERRIDES))
