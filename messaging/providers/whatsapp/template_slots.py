"""A template as a form: the values a person types in, and the components they become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from messaging.providers.whatsapp.template_shape import Line, Shape

HEADER, BODY, BUTTON = "header", "body", "button"
# Media that a link is enough for.
_LINKED = frozenset({"image", "video", "document", "gif"})
_TYPED = frozenset({"url", "copy_code"})
_PARAMETER = {"url": ("text", "text"), "copy_code": ("coupon_code", "coupon_code")}


@dataclass(frozen=True, slots=True)
class Slot:
    """One value to type in."""

    part: str
    key: str  # the placeholder, the medium or the button's index
    label: str
    takes: str = "text"  # text, link, url or copy_code

    @property
    def name(self) -> str:
        """Return a name that no other slot of the template has."""
        return f"{self.part}-{self.key}"


def not_typed(shape: Shape) -> str:
    """Return what of the template nobody can type in; "" when all of it can be."""
    if shape.cards:
        return "the cards of a carousel"
    if shape.offer_ends:
        return "the end of an offer"
    if shape.media and shape.media not in _LINKED:
        return f"a {shape.media} in the header"
    for button in shape.buttons:
        if button.required and button.takes not in _TYPED:
            return f"a button of kind {button.takes}"
    return ""


def slots(shape: Shape) -> list[Slot]:
    """Return what must be typed in, from top to bottom."""
    found = [*_of_line(HEADER, shape.header), *_of_line(BODY, shape.body)]
    if shape.media in _LINKED:
        found.insert(0, Slot(HEADER, shape.media, f"Link of the {shape.media}", "link"))
    for index, button in enumerate(shape.buttons):
        # The button of a code repeats the code of the text.
        if button.required and button.takes in _TYPED and not _repeats(shape, button.takes):
            what = "End of the address of" if button.takes == "url" else "Code of"
            found.append(Slot(BUTTON, str(index), f"{what} button {index + 1}", button.takes))
    return found


def components(shape: Shape, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the components of a message; ``values`` are by the names of the slots."""
    wanted = slots(shape)
    found = [
        {"type": part, "parameters": [_parameter(shape, slot, values) for slot in of_part]}
        for part in (HEADER, BODY)
        if (of_part := [slot for slot in wanted if slot.part == part])
    ]
    found += [
        _button(slot.key, slot.takes, values[slot.name]) for slot in wanted if slot.part == BUTTON
    ]
    if shape.is_code:
        code = next((values[slot.name] for slot in wanted if slot.part == BODY), "")
        found += [
            _button(str(index), button.takes, code)
            for index, button in enumerate(shape.buttons)
            if button.required and _repeats(shape, button.takes)
        ]
    return found


def by_part(wanted: Iterable[Slot], values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the typed texts as the preview takes them; what is empty is left out."""
    found: dict[str, dict[str, str]] = {HEADER: {}, BODY: {}}
    for slot in wanted:
        text = values.get(slot.name, "")
        if slot.part in found and text:
            found[slot.part][slot.key] = text
    return found


def _of_line(part: str, line: Line | None) -> Iterator[Slot]:
    variables: Sequence[str] = line.variables if line else ()
    for variable in variables:
        yield Slot(part, variable, f"{part.capitalize()} {{{{{variable}}}}}")


def _repeats(shape: Shape, takes: str) -> bool:
    return shape.is_code and takes == "url" and bool(shape.body.variables)


def _parameter(shape: Shape, slot: Slot, values: Mapping[str, str]) -> dict[str, Any]:
    if slot.takes == "link":
        return {"type": slot.key, slot.key: {"link": values[slot.name]}}
    name = {"parameter_name": slot.key} if shape.named else {}
    return {"type": "text", "text": values[slot.name], **name}


def _button(index: str, takes: str, value: str) -> dict[str, Any]:
    kind, field = _PARAMETER[takes]
    return {
        "type": "button",
        "sub_type": takes,
        "index": index,
        "parameters": [{"type": kind, field: value}],
    }
