"""Management calls to the Graph API, made by people and not on the send path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT = (5.0, 15.0)  # connect, read; seconds
_FIELDS = "display_phone_number,verified_name,quality_rating"


class ApiError(Exception):
    """Meta refused, or could not be asked; the text is for people and holds no secret."""


@dataclass(frozen=True, slots=True)
class PhoneNumberInfo:
    """What Meta says of a number."""

    display_phone_number: str
    verified_name: str
    quality_rating: str


@dataclass(frozen=True, slots=True)
class Health:
    """Whether Meta lets a number send (its fields ``health_status``)."""

    can_send: bool
    reason: str  # "" when it can


def fetch_phone_number(
    base_url: str, version: str, phone_number_id: str, access_token: str
) -> PhoneNumberInfo:
    """Read the number with the token; raise ApiError when that is not possible."""
    body = _get(base_url, version, phone_number_id, access_token, _FIELDS)
    return PhoneNumberInfo(
        display_phone_number=str(body.get("display_phone_number", "")),
        verified_name=str(body.get("verified_name", "")),
        quality_rating=str(body.get("quality_rating", "")),
    )


def fetch_health(base_url: str, version: str, object_id: str, access_token: str) -> Health:
    """Ask whether a number or account may send; raise ApiError when that is not possible.

    LIMITED counts as able to send: some messages still go.
    """
    body = _get(base_url, version, object_id, access_token, "health_status")
    status = body.get("health_status")
    if not isinstance(status, dict) or "can_send_message" not in status:
        message = "Meta's answer does not say whether messages may be sent."
        raise ApiError(message)
    can_send = status["can_send_message"] in {"AVAILABLE", "LIMITED"}
    return Health(can_send, "" if can_send else _reason(status.get("entities")))


def _reason(entities: Any) -> str:
    """Return what Meta says of the first entity that blocks."""
    for entity in entities if isinstance(entities, list) else []:
        if not isinstance(entity, dict) or entity.get("can_send_message") != "BLOCKED":
            continue
        errors = entity.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        text = first.get("error_description", "") if isinstance(first, dict) else ""
        return f"{entity.get('entity_type', 'Entity')} blocked. {text}".strip()[:400]
    return "Blocked."


def _get(
    base_url: str, version: str, object_id: str, access_token: str, fields: str
) -> dict[str, Any]:
    url = f"{base_url.rstrip('/')}/{version}/{object_id}"
    try:
        answer = requests.get(
            url,
            params={"fields": fields},
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        body = answer.json()
    except requests.RequestException as error:
        message = f"The Cloud API could not be asked ({type(error).__name__})."
        raise ApiError(message) from error
    if not isinstance(body, dict) or answer.status_code != requests.codes.ok:
        error_body = body.get("error", {}) if isinstance(body, dict) else {}
        code = error_body.get("code") if isinstance(error_body, dict) else None
        message = (
            f"error {code}: check the access token and the phone number id."
            if code is not None
            else f"HTTP status {answer.status_code} without an explanation."
        )
        raise ApiError(message)
    return body
