"""A template as a picture: its parts in order, with Meta's examples in the placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from messaging.providers.whatsapp import template_shape
from messaging.providers.whatsapp.template_values import Texts

# WhatsApp's own marks; each must touch the text it is for.
_MARKS = (
    ("pre", re.compile(r"```(.+?)```", re.DOTALL)),
    ("strong", re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])")),
    ("em", re.compile(r"(?<![\w_])_(\S(?:[^_\n]*\S)?)_(?![\w_])")),
    ("s", re.compile(r"(?<![\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])")),
)


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text and how it is set: "" or the name of an HTML element."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the phone shows, from top to bottom."""

    media: str  # image, video, document, location … or ""
    header: str
    body: list[Run]
    footer: str
    buttons: list[str]
    cards: list[Picture]


def draw(
    components: Sequence[Mapping[str, Any]],
    values: Texts | None = None,
    cards: Mapping[int, Texts] | None = None,
) -> Picture:
    """Return the picture of a template, or of one card; strange parts are left out.

    ``values`` of "header" and "body", and those of ``cards`` by their place, stand in place of
    Meta's examples, where there are any.
    """
    parts = {str(part.get("type", "")).upper(): part for part in components}
    header = parts.get("HEADER", {})
    kind = str(header.get("format", "")).lower()
    return Picture(
        media=kind if kind != "text" else "",
        header=_filled(header, "header_text", (values or {}).get("header"))
        if kind == "text"
        else "",
        body=_runs(_filled(parts.get("BODY", {}), "body_text", (values or {}).get("body"))),
        footer=_text(parts.get("FOOTER", {}).get("text")),
        buttons=[_text(button.get("text")) for button in _maps(parts.get("BUTTONS"), "buttons")],
        cards=[
            draw(_maps(card, "components"), (cards or {}).get(place))
            for place, card in enumerate(_maps(parts.get("CAROUSEL"), "cards"))
        ],
    )


def _filled(part: Mapping[str, Any], name: str, given: Mapping[str, str] | None) -> str:
    example = part.get("example")
    example = example if isinstance(example, Mapping) else {}
    named = {
        str(item.get("param_name")): _text(item.get("example"))
        for item in _maps(example, f"{name}_named_params")
    }
    values = example.get(name)
    first = values[0] if isinstance(values, list) and values else []
    row = first if isinstance(first, list) else [first]
    numbered = {str(place): _text(value) for place, value in enumerate(row, start=1)}
    return template_shape.fill(_text(part.get("text")), {**numbered, **named, **(given or {})})


def _runs(text: str) -> list[Run]:
    """Split a text by WhatsApp's marks for bold, italic, struck and monospaced."""
    for style, pattern in _MARKS:
        found = pattern.search(text)
        if found:
            return [
                *_runs(text[: found.start()]),
                Run(found.group(1), style),
                *_runs(text[found.end() :]),
            ]
    return [Run(text)] if text else []


def _maps(part: object, name: str) -> list[Mapping[str, Any]]:
    found = part.get(name) if isinstance(part, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
