"""Small pieces of pages: values by name, and links, as everything else of the console looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = "–"
_PLAIN = re.compile("[a-z_]{1,24}")


def facts(values: Mapping[str, Any] | None) -> str:
    """Return what a JSON column holds as a list of names with their values."""
    if not values:
        return NOTHING
    lines = format_html_join(
        "", "<dt>{}</dt><dd>{}</dd>", ((_name(n), _text(v)) for n, v in values.items())
    )
    return format_html('<dl class="console-facts">{}</dl>', lines)


def kinds(values: Mapping[str, Any] | None) -> str:
    """Return what a JSON column has something of, and nothing of what that is.

    Clients choose the names too: one that is no plain word may itself tell something.
    """
    if not values:
        return NOTHING
    known = [name if _PLAIN.fullmatch(name) else "other" for name in values]
    return ", ".join(sorted(set(map(_name, known))))


def link(url: str, text: str) -> SafeString:
    """Return a link."""
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, text
    )


def _name(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None or value == "" else str(value)
