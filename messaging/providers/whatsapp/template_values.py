"""What a message puts into the placeholders of its template, as the preview takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# By part, "header" or "body": the texts by the names of the placeholders.
Texts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Values:
    """The texts of a template, and of each card of its carousel by the card's place."""

    texts: Texts
    cards: Mapping[int, Texts]


def read(payload: Mapping[str, Any]) -> Values:
    """Return the values of a message's payload; strange parts of it are left out."""
    cards = {
        place: _texts(card)
        for part in _maps(payload, "components")
        for card in _maps(part, "cards")
        if isinstance(place := card.get("card_index"), int)
    }
    return Values(_texts(payload), cards)


def _texts(holder: Mapping[str, Any]) -> Texts:
    return {
        str(part.get("type", "")).lower(): dict(_named(part))
        for part in _maps(holder, "components")
    }


def _named(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place, parameter in enumerate(_maps(part, "parameters"), start=1):
        text = _text(parameter)
        if text is not None:
            yield str(parameter.get("parameter_name") or place), text


def _text(parameter: Mapping[str, Any]) -> str | None:
    """Return a parameter as text; an amount or a date as the text given for old phones."""
    if isinstance(text := parameter.get("text"), str):
        return text
    for kind in ("currency", "date_time"):
        value = parameter.get(kind)
        if isinstance(value, Mapping) and isinstance(value.get("fallback_value"), str):
            return str(value["fallback_value"])
    return None


def _maps(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = part.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
