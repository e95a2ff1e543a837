"""Strict reading of a send request, by Meta's reference; written apart from our own."""

from __future__ import annotations

import re
from typing import Any

from sandbox.errors import ErrorAnswer

TYPES = frozenset(
    {
        *("text", "image", "video", "audio", "document", "sticker", "location"),
        *("contacts", "interactive", "reaction", "template"),
    }
)
_TOP_LEVEL = frozenset(
    {
        *("messaging_product", "recipient_type", "to", "recipient", "type", "context"),
        *("biz_opaque_callback_data", "recipient_identity_key_hash", "category", "ttl_seconds"),
        *TYPES,
    }
)
_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{5,20}")
_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
LONGEST_CALLBACK = 512


def check(body: Any) -> ErrorAnswer | None:
    """Return why Meta would refuse the request; None when it is fine."""
    if not isinstance(body, dict):
        return ErrorAnswer(100, details="The body must be a JSON object.")
    unknown = set(body) - _TOP_LEVEL
    if unknown:
        return ErrorAnswer(100, details=f'Unexpected key "{min(unknown)}" on param.')
    return _check_envelope(body) or _check_type(body)


def _check_envelope(body: dict[str, Any]) -> ErrorAnswer | None:
    if body.get("messaging_product") != "whatsapp":
        return ErrorAnswer(100, details="The parameter messaging_product is required.")
    if body.get("recipient_type", "individual") not in {"individual", "group"}:
        return ErrorAnswer(100, details="Param recipient_type must be individual or group.")
    callback = body.get("biz_opaque_callback_data", "")
    if not isinstance(callback, str) or len(callback) > LONGEST_CALLBACK:
        details = f"Param biz_opaque_callback_data must be at most {LONGEST_CALLBACK} characters."
        return ErrorAnswer(100, details=details)
    return _check_recipient(body)


def _check_recipient(body: dict[str, Any]) -> ErrorAnswer | None:
    to, recipient = body.get("to"), body.get("recipient")
    if not to and not recipient:
        return ErrorAnswer(131008, details="The parameter to is required.")
    if to and not (isinstance(to, str) and _PHONE.fullmatch(to)):
        return ErrorAnswer(131009, details="Param to is not a valid phone number.")
    if not to and not (isinstance(recipient, str) and _BSUID.fullmatch(recipient)):
        return ErrorAnswer(131009, details="Param recipient is not a valid user id.")
    return None


def _check_type(body: dict[str, Any]) -> ErrorAnswer | None:
    kind = body.get("type")
    if kind not in TYPES:
        return ErrorAnswer(131051, details=f"Unsupported type {str(kind)[:30]}.")
    present = TYPES & set(body)
    if present != {kind}:
        return ErrorAnswer(131008, details=f"Exactly the parameter {kind} is required.")
    return _check_content(kind, body[kind])


def _check_content(kind: str, content: Any) -> ErrorAnswer | None:
    if kind == "contacts":
        return _check_contacts(content)
    if not isinstance(content, dict):
        return ErrorAnswer(100, details=f"Param {kind} must be an object.")
    if kind in _MEDIA:
        return _check_media(kind, content)
    return _CHECKS[kind](content)


def _check_text(content: dict[str, Any]) -> ErrorAnswer | None:
    text = content.get("body")
    if not isinstance(text, str) or not text:
        return ErrorAnswer(131008, details="The parameter text['body'] is required.")
    if len(text) > 4096:
        return ErrorAnswer(100, details="Param text['body'] must be at most 4096 characters long.")
    return None


def _check_media(kind: str, content: dict[str, Any]) -> ErrorAnswer | None:
    if ("id" in content) == ("link" in content):
        return ErrorAnswer(131009, details=f"Param {kind} takes exactly one of id and link.")
    link = content.get("link", "https://")
    if not isinstance(link, str) or not link.startswith(("https://", "http://")):
        return ErrorAnswer(131009, details=f"Param {kind}['link'] is not a valid URI.")
    if len(str(content.get("caption", ""))) > 1024:
        return ErrorAnswer(100, details=f"Param {kind}['caption'] is too long.")
    return None


def _check_contacts(content: Any) -> ErrorAnswer | None:
    if not isinstance(content, list) or not 1 <= len(content) <= 257:
        return ErrorAnswer(100, details="Param contacts must hold 1 to 257 contacts.")
    for card in content:
        name = card.get("name") if isinstance(card, dict) else None
        if not isinstance(name, dict) or not name.get("formatted_name"):
            return ErrorAnswer(131008, details="The parameter contacts['name'] is required.")
    return None


def _check_location(content: dict[str, Any]) -> ErrorAnswer | None:
    try:
        latitude, longitude = float(content["latitude"]), float(content["longitude"])
    except (KeyError, TypeError, ValueError):
        return ErrorAnswer(131008, details="The parameters latitude and longitude are required.")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return ErrorAnswer(131009, details="Param location is not on the globe.")
    return None


def _check_reaction(content: dict[str, Any]) -> ErrorAnswer | None:
    if not content.get("message_id"):
        return ErrorAnswer(131008, details="The parameter reaction['message_id'] is required.")
    return None


def _check_interactive(content: dict[str, Any]) -> ErrorAnswer | None:
    known = {"button", "list", "cta_url", "flow", "location_request_message"}
    if content.get("type") not in known:
        return ErrorAnswer(131009, details="Param interactive['type'] is not supported.")
    if not isinstance(content.get("body"), dict) or not content["body"].get("text"):
        return ErrorAnswer(131008, details="The parameter interactive['body'] is required.")
    action = content.get("action")
    if not isinstance(action, dict):
        return ErrorAnswer(131008, details="The parameter interactive['action'] is required.")
    return _check_action(content["type"], action)


def _check_action(kind: str, action: dict[str, Any]) -> ErrorAnswer | None:
    if kind == "button":
        buttons = action.get("buttons")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
            return ErrorAnswer(131009, details="Between 1 and 3 buttons are allowed.")
    if kind == "list":
        sections = action.get("sections")
        if not isinstance(sections, list) or not sections:
            return ErrorAnswer(131009, details="A list needs sections.")
        if sum(len(section.get("rows", [])) for section in sections) > 10:
            return ErrorAnswer(131009, details="At most 10 rows are allowed.")
    return None


def _check_template(content: dict[str, Any]) -> ErrorAnswer | None:
    if not isinstance(content.get("name"), str):
        return ErrorAnswer(131008, details="The parameter template['name'] is required.")
    language = content.get("language")
    if not isinstance(language, dict) or not language.get("code"):
        return ErrorAnswer(131008, details="The parameter template['language'] is required.")
    components = content.get("components") or []
    if not isinstance(components, list) or not all(isinstance(c, dict) for c in components):
        return ErrorAnswer(100, details="Param template['components'] must be a list.")
    return None


_CHECKS = {
    "text": _check_text,
    "location": _check_location,
    "reaction": _check_reaction,
    "interactive": _check_interactive,
    "template": _check_template,
}
