"""Whether the values of a message fit the template they are for (Meta's errors 132000, 132012)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from messaging.providers.whatsapp.content_rules import ContentError
from messaging.providers.whatsapp.template_shape import Line, Shape

# With the values put in (Meta answers 132005 beyond that).
LONGEST_HEADER = 60
LONGEST_BODY = 1024
LONGEST_CODE = 15
# The end of an address goes out as it is given.
_URL_PART = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")

Component = Mapping[str, Any]
# A component as given, and the path of the field it stands in.
Placed = tuple[str, Component]


def check(shape: Shape, components: Sequence[Component], path: str = "template") -> None:
    """Raise ContentError naming the component and parameter that do not fit.

    ``components`` are as ``content.parse`` returns them: each is well-formed by itself.
    """
    given = _by_type(components, path)
    _check_header(shape, given.get("header", []), path)
    body = _check_line(shape, "body", shape.body, given.get("body", []), path, longest=LONGEST_BODY)
    code = body[0] if shape.is_code and body else ""
    _check_buttons(shape, given.get("button", []), path, code)
    _check_cards(shape, given.get("carousel", []), path)
    _check_offer(shape, given.get("limited_time_offer", []), path)


def _by_type(components: Sequence[Component], path: str) -> dict[str, list[Placed]]:
    found: dict[str, list[Placed]] = {}
    for position, component in enumerate(components):
        place = f"{path}.components[{position}]"
        same = found.setdefault(component["type"], [])
        if same and component["type"] != "button":
            detail = f"There is a {component['type']} component already, at {same[0][0]}."
            raise ContentError(place, "unexpected", detail)
        same.append((place, component))
    return found


def _check_header(shape: Shape, given: Sequence[Placed], path: str) -> None:
    if not shape.media:
        line = shape.header or Line("", ())
        _check_line(shape, "header", line, given, path, longest=LONGEST_HEADER)
        return
    if not given:
        detail = f"The template's header shows a {shape.media}: add a header component with it."
        raise ContentError(f"{path}.components", "required", detail)
    place, component = given[0]
    if component["parameters"][0]["type"] != shape.media:
        detail = f"The template's header shows a {shape.media}."
        raise ContentError(f"{place}.parameters[0].type", "invalid", detail)


def _check_line(
    shape: Shape, name: str, line: Line, given: Sequence[Placed], path: str, *, longest: int
) -> list[str]:
    """Check the values of a text; return them as they are shown, in the order given."""
    wanted = line.variables
    if not given:
        if wanted:
            detail = f"The template's {name} needs {_count(wanted)}: add a {name} component."
            raise ContentError(f"{path}.components", "required", detail)
        return []
    place, component = given[0]
    if not wanted:
        detail = f"The template's {name} takes no parameter; leave this component out."
        raise ContentError(place, "unexpected", detail)
    parameters = component["parameters"]
    if len(parameters) != len(wanted):
        detail = f"The template's {name} needs {_count(wanted)}, {len(parameters)} given."
        raise ContentError(f"{place}.parameters", "wrong_count", detail)
    _check_names(shape, wanted, parameters, place)
    values = [
        _shown(parameter, f"{place}.parameters[{n}]") for n, parameter in enumerate(parameters)
    ]
    if line.fixed_length + sum(map(len, values)) > longest:
        detail = f"With its values the {name} is longer than {longest} characters."
        raise ContentError(f"{place}.parameters", "too_long", detail)
    return values


def _check_names(
    shape: Shape, wanted: Sequence[str], parameters: Sequence[Component], place: str
) -> None:
    seen: set[str] = set()
    for position, parameter in enumerate(parameters):
        name: str | None = parameter.get("parameter_name")
        field = f"{place}.parameters[{position}].parameter_name"
        if not shape.named:
            if name is not None:
                detail = "The template's parameters have no names: give them in order."
                raise ContentError(field, "unexpected", detail)
        elif name is None or name not in wanted or name in seen:
            left = ", ".join(item for item in wanted if item not in seen)
            raise ContentError(field, "invalid", f"Give each of these once: {left}.")
        else:
            seen.add(name)


def _shown(parameter: Component, place: str) -> str:
    kind = parameter["type"]
    if kind == "text":
        return str(parameter["text"])
    if kind in {"currency", "date_time"}:
        return str(parameter[kind]["fallback_value"])
    detail = "The template shows a text here."
    raise ContentError(f"{place}.type", "invalid", detail)


def _check_buttons(shape: Shape, given: Sequence[Placed], path: str, code: str) -> None:
    seen: set[int] = set()
    for place, component in given:
        index = int(component["index"])
        if index >= len(shape.buttons):
            detail = f"The template has {len(shape.buttons)} button(s); the first has index 0."
            raise ContentError(f"{place}.index", "invalid", detail)
        if index in seen:
            raise ContentError(f"{place}.index", "unexpected", "This button was given before.")
        seen.add(index)
        takes = shape.buttons[index].takes
        if not takes:
            detail = "The template's button at this index takes no value; leave this out."
            raise ContentError(place, "unexpected", detail)
        if component["sub_type"] != takes:
            detail = f"The template's button at this index is of sub_type {takes}."
            raise ContentError(f"{place}.sub_type", "invalid", detail)
        if takes == "url":
            _check_url_part(component["parameters"][0]["text"], place, code)
    for index, button in enumerate(shape.buttons):
        if button.required and index not in seen:
            detail = f"The template's button {index} needs a value: add a {button.takes} button."
            raise ContentError(f"{path}.components", "required", detail)


def _check_url_part(text: str, place: str, code: str) -> None:
    field = f"{place}.parameters[0].text"
    if code and text != code:
        raise ContentError(field, "invalid", "Give the same code as in the body.")
    if code and len(text) > LONGEST_CODE:
        raise ContentError(field, "too_long", f"A code has at most {LONGEST_CODE} characters.")
    if not _URL_PART.fullmatch(text):
        detail = "It becomes the end of an address: percent-encode what an address cannot hold."
        raise ContentError(field, "invalid", detail)


def _check_cards(shape: Shape, given: Sequence[Placed], path: str) -> None:
    if not given:
        if shape.cards:
            detail = f"The template has {len(shape.cards)} cards: add a carousel component."
            raise ContentError(f"{path}.components", "required", detail)
        return
    place, component = given[0]
    cards = component["cards"]
    if len(cards) != len(shape.cards):
        detail = f"The template has {len(shape.cards)} cards, {len(cards)} given."
        raise ContentError(f"{place}.cards", "wrong_count", detail)
    seen: set[int] = set()
    for position, card in enumerate(cards):
        index = card["card_index"]
        field = f"{place}.cards[{position}]"
        if index in seen or index >= len(shape.cards):
            detail = f"Give each index from 0 to {len(shape.cards) - 1} once."
            raise ContentError(f"{field}.card_index", "invalid", detail)
        seen.add(index)
        check(shape.cards[index], card["components"], field)


def _check_offer(shape: Shape, given: Sequence[Placed], path: str) -> None:
    if shape.offer_ends and not given:
        detail = "The template shows when the offer ends: add a limited_time_offer component."
        raise ContentError(f"{path}.components", "required", detail)
    if given and not shape.offer_ends:
        detail = "The template shows no end of an offer; leave this component out."
        raise ContentError(given[0][0], "unexpected", detail)


def _count(wanted: Sequence[str]) -> str:
    return f"{len(wanted)} parameter{'s' if len(wanted) > 1 else ''}"
