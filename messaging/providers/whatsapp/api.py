"""Management calls to the Graph API, made by people and not on the send path."""

from __future__ import annotations

from dataclasses import dataclass

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


def fetch_phone_number(
    base_url: str, version: str, phone_number_id: str, access_token: str
) -> PhoneNumberInfo:
    """Read the number with the token; raise ApiError when that is not possible."""
    url = f"{base_url.rstrip('/')}/{version}/{phone_number_id}"
    try:
        answer = requests.get(
            url,
            params={"fields": _FIELDS},
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
    return PhoneNumberInfo(
        display_phone_number=str(body.get("display_phone_number", "")),
        verified_name=str(body.get("verified_name", "")),
        quality_rating=str(body.get("quality_rating", "")),
    )
