"""Management calls to the Graph API, made by people and not on the send path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from messaging.providers.whatsapp import notices
from messaging.providers.whatsapp.values import text

TIMEOUT = (5.0, 15.0)  # connect, read; seconds
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes
_CHUNK = 65_536
# A page of templates, and how many pages are followed; Meta allows 6,000 templates an account.
TEMPLATES_PER_PAGE = 250
MOST_PAGES = 100
_FIELDS = (
    "display_phone_number,verified_name,quality_rating,throughput,"
    "whatsapp_business_manager_messaging_limit"
)
# What Meta's code means for whoever connects; Meta's own text may repeat the token.
_REASONS = {
    190: "the access token is wrong, expired or withdrawn",
    100: "there is nothing with this id, or the token's system user may not see it",
    10: "the token lacks a permission; it needs whatsapp_business_management and "
    "whatsapp_business_messaging",
    200: "the token's system user has no right to it",
    4: "the app has made too many calls; try again in a while",
    80008: "the account has made too many calls; try again in a while",
}
_PLACE_FORGOTTEN = "131059"
_UNKNOWN_REASON = "check the access token and Meta's id"
_TEMPLATE_FIELDS = (
    "id,name,language,status,category,correct_category,parameter_format,components,"
    "quality_score,rejected_reason"
)


class ApiError(Exception):
    """Meta refused, or could not be asked; the text is for people and holds no secret."""

    def __init__(self, text: str, code: str = "") -> None:
        """``code``: Meta's, if it gave one."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class PhoneNumberInfo:
    """What Meta says of a number."""

    display_phone_number: str
    verified_name: str
    quality_rating: str
    throughput_level: str  # STANDARD, HIGH or NOT_APPLICABLE
    tier: int | None  # people its portfolio may reach in 24 hours, 0 for no limit, None: not told


@dataclass(frozen=True, slots=True)
class Health:
    """Whether Meta lets a number send (its fields ``health_status``)."""

    can_send: bool
    reason: str  # "" when it can


def fetch_phone_number(
    base_url: str, version: str, phone_number_id: str, access_token: str
) -> PhoneNumberInfo:
    """Read the number with the token; raise ApiError when that is not possible."""
    body = _get(base_url, version, phone_number_id, access_token, {"fields": _FIELDS})
    throughput = body.get("throughput")
    return PhoneNumberInfo(
        display_phone_number=text(body.get("display_phone_number")),
        verified_name=text(body.get("verified_name")),
        quality_rating=text(body.get("quality_rating")),
        throughput_level=text(throughput.get("level")) if isinstance(throughput, dict) else "",
        tier=notices.tier(body.get("whatsapp_business_manager_messaging_limit")),
    )


def fetch_account_name(base_url: str, version: str, waba_id: str, access_token: str) -> str:
    """Read a WhatsApp account's name with the token; raise ApiError when that is not possible."""
    return str(_get(base_url, version, waba_id, access_token, {"fields": "name"}).get("name", ""))


def fetch_health(base_url: str, version: str, object_id: str, access_token: str) -> Health:
    """Ask whether a number or account may send; raise ApiError when that is not possible.

    LIMITED counts as able to send: some messages still go.
    """
    body = _get(base_url, version, object_id, access_token, {"fields": "health_status"})
    status = body.get("health_status")
    if not isinstance(status, dict) or "can_send_message" not in status:
        message = "Meta's answer does not say whether messages may be sent."
        raise ApiError(message)
    can_send = status["can_send_message"] in {"AVAILABLE", "LIMITED"}
    return Health(can_send, "" if can_send else _reason(status.get("entities")))


def fetch_templates(
    base_url: str, version: str, waba_id: str, access_token: str
) -> Iterator[dict[str, Any]]:
    """Yield the account's templates as Meta lists them, page by page.

    When Meta has forgotten the place in its list, the list begins anew, once. Raises ApiError when
    Meta refuses, or when the list does not end.
    """
    first = {"fields": _TEMPLATE_FIELDS, "limit": str(TEMPLATES_PER_PAGE)}
    params, may_begin_anew = first, True
    for _ in range(MOST_PAGES):
        try:
            body = _get(base_url, version, f"{waba_id}/message_templates", access_token, params)
        except ApiError as error:
            if error.code != _PLACE_FORGOTTEN or not may_begin_anew:
                raise
            params, may_begin_anew = first, False
            continue
        rows = body.get("data")
        yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
        after = _next_page(body.get("paging"))
        if not after:
            return
        params = {**first, "after": after}
    message = f"The list of templates has more than {MOST_PAGES} pages."
    raise ApiError(message)


def _next_page(paging: Any) -> str:
    """Return the cursor of the next page; empty when this was the last."""
    if not isinstance(paging, dict) or not paging.get("next"):
        return ""
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) else ""


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
    base_url: str, version: str, path: str, access_token: str, params: dict[str, str]
) -> dict[str, Any]:
    url = f"{base_url.rstrip('/')}/{version}/{path}"
    try:
        with requests.get(
            url,
            params=params,
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as answer:
            status = answer.status_code
            body = orjson.loads(_read(answer))
    except requests.RequestException as error:
        message = f"The Cloud API could not be asked ({type(error).__name__})."
        raise ApiError(message) from error
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or status != requests.codes.ok:
        error_body = body.get("error", {}) if isinstance(body, dict) else {}
        code = error_body.get("code") if isinstance(error_body, dict) else None
        message = (
            f"error {code}: {_REASONS.get(code, _UNKNOWN_REASON)}."
            if code is not None
            else f"HTTP status {status} without an explanation."
        )
        raise ApiError(message, text(code))
    return body


def _read(answer: requests.Response) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            message = f"The answer is longer than {LARGEST_ANSWER} bytes."
            raise ApiError(message)
    return bytes(body)
