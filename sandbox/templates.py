"""The templates the sandbox knows, and whether a send fits them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.errors import ErrorAnswer

_REFUSALS = {"PAUSED": 132015, "DISABLED": 132016}
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def _template(
    number: int, name: str, category: str, components: list[dict[str, Any]], **extra: Any
) -> dict[str, Any]:
    return {
        "id": f"59442547926{number:04}",
        "name": name,
        "language": "en_US",
        "status": "APPROVED",
        "category": category,
        "parameter_format": "POSITIONAL",
        "components": components,
        "quality_score": {"score": "GREEN", "date": 1_790_000_000},
        **extra,
    }


TEMPLATES: list[dict[str, Any]] = [
    _template(
        1,
        "order_update",
        "UTILITY",
        [
            {
                "type": "BODY",
                "text": "Hi {{1}}, your order {{2}} has been shipped.",
                "example": {"body_text": [["Ana", "#1042"]]},
            }
        ],
    ),
    _template(
        2,
        "welcome_offer",
        "MARKETING",
        [
            {"type": "HEADER", "format": "TEXT", "text": "Welcome!"},
            {"type": "BODY", "text": "Ten per cent off your first order this week."},
            {"type": "FOOTER", "text": "Reply STOP to hear no more from us."},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop promotions"}]},
        ],
    ),
    _template(
        3,
        "login_code",
        "AUTHENTICATION",
        [
            {"type": "BODY", "text": "{{1}} is your verification code."},
            {
                "type": "BUTTONS",
                "buttons": [
                    {"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code", "url": "{{1}}"}
                ],
            },
        ],
    ),
    _template(
        4,
        "appointment",
        "UTILITY",
        [
            {
                "type": "BODY",
                "text": "Hello {{first_name}}, we expect you on {{day}}.",
                "example": {
                    "body_text_named_params": [
                        {"param_name": "first_name", "example": "Ana"},
                        {"param_name": "day", "example": "Monday"},
                    ]
                },
            }
        ],
        parameter_format="NAMED",
    ),
    _template(
        5,
        "paused_news",
        "MARKETING",
        [{"type": "BODY", "text": "News of the week."}],
        status="PAUSED",
        quality_score={"score": "RED", "date": 1_790_000_000},
    ),
]


def find(templates: Iterable[dict[str, Any]], name: Any, language: Any) -> dict[str, Any] | None:
    """Return the template of this name in this language, if there is one."""
    return next((t for t in templates if (t["name"], t["language"]) == (name, language)), None)


def check_send(templates: Iterable[dict[str, Any]], template: dict[str, Any]) -> ErrorAnswer | None:
    """Return what Meta would refuse the send for; None when it fits one of the templates."""
    language = template.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    known = find(templates, template.get("name"), code)
    if known is None:
        return ErrorAnswer(132001)
    if known["status"] != "APPROVED":
        return ErrorAnswer(_REFUSALS.get(known["status"], 132001))
    given = {str(part.get("type")).lower(): part for part in template.get("components") or []}
    for component in known["components"]:
        if component["type"] not in {"HEADER", "BODY"} or "text" not in component:
            continue
        wanted = _VARIABLE.findall(component["text"])
        part = given.get(component["type"].lower(), {})
        parameters = part.get("parameters") or []
        if len(parameters) != len(wanted):
            details = (
                f"{component['type'].lower()}: number of localizable_params "
                f"({len(parameters)}) does not match the expected number of params ({len(wanted)})"
            )
            return ErrorAnswer(132000, details=details)
        if known["parameter_format"] == "NAMED":
            names = {parameter.get("parameter_name") for parameter in parameters}
            if names != set(wanted):
                return ErrorAnswer(132012, details="Parameter name is missing or empty.")
    return None
