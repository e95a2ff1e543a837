"""What a template made at Meta asks of a message: the values, their kind and their place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMED = "NAMED"
AUTHENTICATION = "AUTHENTICATION"

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_MEDIA = frozenset({"image", "video", "document", "gif", "location", "product"})
# What is sent for each kind of button: the sub_type, and whether it must be given.
_BUTTONS = {
    "QUICK_REPLY": ("quick_reply", False),
    "COPY_CODE": ("copy_code", True),
    "OTP": ("url", True),
    "FLOW": ("flow", False),
    "CATALOG": ("catalog", False),
    "MPM": ("mpm", True),
    "ORDER_DETAILS": ("order_details", True),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A text with placeholders, in the order in which they stand there first."""

    text: str
    variables: tuple[str, ...]

    @property
    def fixed_length(self) -> int:
        """Return how many characters stand there whatever is put in."""
        return len(_VARIABLE.sub("", self.text))


@dataclass(frozen=True, slots=True)
class Button:
    """One button; ``takes`` is the sub_type of its value, "" when it takes none."""

    takes: str
    required: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A template, or one card of its carousel."""

    named: bool
    is_code: bool  # an authentication template: one code, in the text and in its button
    header: Line | None
    media: str  # the kind of value the header shows, "" for none or a text
    body: Line
    buttons: tuple[Button, ...]
    cards: tuple[Shape, ...]
    offer_ends: bool  # a limited-time offer that shows when it ends


def read(
    components: Sequence[Mapping[str, Any]], parameter_format: str = "", category: str = ""
) -> Shape:
    """Return the shape of a template as Meta lists it; what is not understood asks for nothing."""
    parts = {_upper(part.get("type")): part for part in components}
    header = parts.get("HEADER", {})
    kind = _upper(header.get("format")).lower()
    cards = parts.get("CAROUSEL", {}).get("cards")
    offer = parts.get("LIMITED_TIME_OFFER", {}).get("limited_time_offer")
    named = _upper(parameter_format) == NAMED
    return Shape(
        named=named,
        is_code=_upper(category) == AUTHENTICATION,
        header=_line(header) if kind == "text" else None,
        media=kind if kind in _MEDIA else "",
        body=_line(parts.get("BODY", {})),
        buttons=tuple(_button(button) for button in _maps(parts.get("BUTTONS", {}).get("buttons"))),
        cards=tuple(
            read(_maps(card.get("components")), parameter_format, category) for card in _maps(cards)
        ),
        offer_ends=isinstance(offer, Mapping) and offer.get("has_expiration") is True,
    )


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the values in place of its placeholders; unknown ones stay."""
    return _VARIABLE.sub(lambda found: values.get(found.group(1), found.group(0)), text)


def _line(part: Mapping[str, Any]) -> Line:
    text = part.get("text")
    text = text if isinstance(text, str) else ""
    return Line(text, tuple(dict.fromkeys(_VARIABLE.findall(text))))


def _button(button: Mapping[str, Any]) -> Button:
    kind = _upper(button.get("type"))
    if kind == "URL":
        has_variable = bool(_VARIABLE.search(str(button.get("url", ""))))
        return Button("url" if has_variable else "", has_variable)
    takes, required = _BUTTONS.get(kind, ("", False))
    return Button(takes, required)


def _maps(value: object) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [item for item in found if isinstance(item, Mapping)]


def _upper(value: object) -> str:
    return value.upper() if isinstance(value, str) else ""
