"""What becomes of a template, and the webhooks that tell of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

STATUSES = frozenset(
    {
        *("APPROVED", "PENDING", "IN_APPEAL", "PAUSED", "REJECTED", "DISABLED"),
        *("PENDING_DELETION", "DELETED", "LIMIT_EXCEEDED", "ARCHIVED", "LOCKED"),
    }
)
QUALITIES = frozenset({"GREEN", "YELLOW", "RED", "UNKNOWN"})
CATEGORIES = frozenset({"MARKETING", "UTILITY", "AUTHENTICATION"})
NAMES = ("status", "quality", "category", "components", "reason")

Change = dict[str, Any]


class ChangeError(Exception):
    """The change makes no sense; the text says why."""


def change(template: dict[str, Any], wanted: dict[str, Any]) -> list[Change]:
    """Change the template; return what Meta posts about it, nothing for what was so before.

    ``wanted`` may hold NAMES; ``reason`` goes with a status. Raises ChangeError.
    """
    _check(wanted)
    posts: list[Change] = []
    for name, (apply, tell) in _CHANGES.items():
        if name not in wanted:
            continue
        before = _seen(template, name)
        if before != wanted[name]:
            apply(template, wanted[name])
            posts.append(tell(template, before, str(wanted.get("reason", "NONE"))))
    return posts


def _check(wanted: dict[str, Any]) -> None:
    strange = sorted(set(wanted) - set(NAMES))
    if strange:
        message = f"There is no {', '.join(strange)}; change {', '.join(NAMES)}."
        raise ChangeError(message)
    for name, words in (("status", STATUSES), ("quality", QUALITIES), ("category", CATEGORIES)):
        if name in wanted and wanted[name] not in words:
            message = f"{name} is one of {', '.join(sorted(words))}."
            raise ChangeError(message)
    if "components" in wanted and not isinstance(wanted["components"], list):
        message = "components is a list."
        raise ChangeError(message)


def _seen(template: dict[str, Any], name: str) -> Any:
    return template["quality_score"]["score"] if name == "quality" else template[name]


def _put(name: str) -> Callable[[dict[str, Any], Any], None]:
    return lambda template, value: template.__setitem__(name, value)


def _put_quality(template: dict[str, Any], score: str) -> None:
    template["quality_score"] = {**template["quality_score"], "score": score}


def _post(field: str, template: dict[str, Any], **value: Any) -> Change:
    return {
        "field": field,
        "value": {
            "message_template_id": int(template["id"]),
            "message_template_name": template["name"],
            # With a hyphen here, with an underscore in the API.
            "message_template_language": template["language"].replace("_", "-"),
            **value,
        },
    }


def _tell_status(template: dict[str, Any], _before: Any, reason: str) -> Change:
    category, event = template["category"], template["status"]
    value: dict[str, Any] = {
        "event": event,
        "reason": reason,
        "message_template_category": category,
    }
    if event == "PAUSED":
        value["other_info"] = {"title": "FIRST_PAUSE", "description": "Paused for its quality."}
    return _post("message_template_status_update", template, **value)


def _tell_quality(template: dict[str, Any], before: Any, _reason: str) -> Change:
    score = template["quality_score"]["score"]
    value = {"previous_quality_score": before, "new_quality_score": score}
    return _post("message_template_quality_update", template, **value)


def _tell_category(template: dict[str, Any], before: Any, _reason: str) -> Change:
    value = {"previous_category": before, "new_category": template["category"]}
    return _post("template_category_update", template, **value)


def _tell_components(template: dict[str, Any], _before: Any, _reason: str) -> Change:
    parts = {str(part.get("type", "")).upper(): part for part in template["components"]}
    value = {
        f"message_template_{name}": parts[kind].get(field, "")
        for name, kind, field in (
            ("title", "HEADER", "text"),
            ("element", "BODY", "text"),
            ("footer", "FOOTER", "text"),
            ("buttons", "BUTTONS", "buttons"),
        )
        if kind in parts
    }
    return _post("message_template_components_update", template, **value)


_CHANGES: dict[
    str,
    tuple[Callable[[dict[str, Any], Any], None], Callable[[dict[str, Any], Any, str], Change]],
] = {
    "category": (_put("category"), _tell_category),
    "components": (_put("components"), _tell_components),
    "quality": (_put_quality, _tell_quality),
    "status": (_put("status"), _tell_status),
}
