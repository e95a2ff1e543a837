"""The words in what a person sends, whatever its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messaging.providers.whatsapp.values import text

LONGEST_TEXT = 4096  # of Meta's text messages

# Where the words of each type stand; the first that holds any counts.
_WORDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "text": (("text", "body"),),
    "button": (("button", "text"), ("button", "payload")),
    "interactive": (
        ("interactive", "button_reply", "title"),
        ("interactive", "list_reply", "title"),
        ("interactive", "nfm_reply", "body"),
    ),
    "image": (("image", "caption"),),
    "video": (("video", "caption"),),
    "document": (("document", "caption"), ("document", "filename")),
    "location": (("location", "name"), ("location", "address")),
    "reaction": (("reaction", "emoji"),),
    "order": (("order", "text"),),
}


def words(kind: str, raw: Mapping[str, Any]) -> str:
    """Return text, caption or title; empty for a type without words, or one we do not know."""
    for path in _WORDS.get(kind, ()):
        found: Any = raw
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if said := text(found):
            return said[:LONGEST_TEXT]
    return ""


def quoted(kind: str, raw: Mapping[str, Any]) -> str:
    """Return the wamid of the message it answers, reacts to or was tapped on; else empty."""
    context = raw.get("reaction") if kind == "reaction" else raw.get("context")
    name = "message_id" if kind == "reaction" else "id"
    return text(context.get(name))[:255] if isinstance(context, Mapping) else ""
