"""The content of each type of message: what Meta takes, checked before queueing.

Limits are those of Meta's Cloud API reference for messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from messaging.providers.whatsapp.content_free_form import FREE_FORM
from messaging.providers.whatsapp.content_interactive import Interactive
from messaging.providers.whatsapp.content_rules import ContentError
from messaging.providers.whatsapp.content_template import Template

TEMPLATE = "template"

_TYPES: dict[str, Any] = {TEMPLATE: Template, **FREE_FORM, "interactive": Interactive}
KINDS = tuple(_TYPES)

_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_MISSING = re.compile(r"missing required field `(\w+)`")
_UNKNOWN = re.compile(r"contains unknown field `(.*?)`")


def parse(kind: str, content: object) -> Any:
    """Return the content as it goes under the type's name in the request.

    Raises ContentError naming the field; KeyError for a kind that is not in KINDS.
    """
    try:
        checked = msgspec.convert(content, _TYPES[kind])
    except msgspec.ValidationError as error:
        raise _named(kind, error) from None
    for item in checked if isinstance(checked, list) else [checked]:
        check: Callable[[str], None] | None = getattr(item, "check", None)
        if check is not None:
            check(kind)
    return msgspec.to_builtins(checked)


def is_bsuid(text: str) -> bool:
    """Say whether it has the form of a business-scoped user id, such as US.13491208655302."""
    return _BSUID.fullmatch(text) is not None


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return a JSON schema for each kind, complete in itself."""
    return {kind: _inline(msgspec.json.schema(model)) for kind, model in _TYPES.items()}


def _named(kind: str, error: msgspec.ValidationError) -> ContentError:
    """Turn msgspec's text into the field and what to do; a value is never part of either."""
    text = str(error)
    if isinstance(error.__cause__, ContentError):
        return ContentError(
            _path(kind, text, error.__cause__.field), error.__cause__.code, error.__cause__.detail
        )
    reason = text.partition(" - at `$")[0]
    for pattern, code, detail in (
        (_MISSING, "required", "This field is required."),
        (_UNKNOWN, "unexpected", "There is no such field here; leave it out."),
    ):
        found = pattern.search(reason)
        if found:
            return ContentError(_path(kind, text, found.group(1)[:64]), code, detail)
    code = "too_long" if "length <=" in reason else "invalid"
    # An enumeration's or pattern's complaint may repeat the value.
    detail = "This is not one of the allowed values." if "nvalid" in reason else f"{reason}."
    return ContentError(_path(kind, text, ""), code, detail)


def _path(kind: str, text: str, inner: str) -> str:
    path = text.partition(" - at `$")[2].rstrip("`")
    return f"{kind}{path}" + (f".{inner}" if inner else "")


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the definitions in place of the references; a recursive one is cut."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any, above: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolve(item, above) for item in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).rpartition("/")[2]
        if name in above:
            return {"type": "object"}
        if name:
            return resolve(definitions[name], (*above, name))
        mapped = {key: value for key, value in node.items() if key != "discriminator"}
        return {key: resolve(value, above) for key, value in mapped.items()}

    resolved: dict[str, Any] = resolve(schema, ())
    return resolved
