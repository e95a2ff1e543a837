"""System checks: settings that would only hurt at the first message are refused at start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from messaging import channels


@register("messaging")
def providers_import(**_kwargs: Any) -> list[CheckMessage]:
    """Every provider named in the settings can be imported."""
    problems: list[CheckMessage] = []
    for channel, path in settings.OUTBOUND_PROVIDERS.items():
        try:
            import_string(path)
        except ImportError:
            problems.append(
                Error(
                    f"The provider of {channel} does not import.",
                    hint="OUTBOUND_PROVIDERS must hold the dotted path of a class.",
                    id="messaging.E001",
                )
            )
    return problems


@register("messaging")
def error_overrides_fit(**_kwargs: Any) -> list[CheckMessage]:
    """The operators' changes to the error table are readable."""
    try:
        channels.error_table()
    except (ValueError, TypeError) as error:
        return [
            Error(
                f"WHATSAPP_ERROR_OVERRIDES is not valid: {error}",
                hint='It is a JSON object such as {"131026": {"outcome": "RETRY"}}.',
                id="messaging.E002",
            )
        ]
    return []
