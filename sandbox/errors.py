"""Meta's error answers: code → HTTP status, type, title, and the usual details."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OAUTH = "OAuthException"

# code → HTTP status, title, details. A code that is not here answers 400 without details.
KNOWN: dict[int, tuple[int, str, str]] = {
    0: (401, "AuthException", "The app user could not be authenticated."),
    1: (400, "API Unknown", "Invalid request or possible server error."),
    2: (503, "API Service", "Temporary due to downtime or overload."),
    3: (500, "API Method", "Capability or permissions issue."),
    4: (400, "API Too Many Calls", "The app has reached its call rate limit."),
    10: (403, "Permission Denied", "Permission is not granted or has been removed."),
    33: (400, "Parameter value is not valid", "The business phone number has been deleted."),
    100: (400, "Invalid parameter", "The request included unsupported or misspelled parameters."),
    190: (401, "Access token has expired", "The access token has expired."),
    368: (403, "Temporarily blocked for policies violations", "The account is restricted."),
    80007: (400, "Rate limit issues", "The account has reached its rate limit."),
    130429: (400, "Rate limit hit", "Cloud API message throughput has been reached."),
    130472: (400, "User's number is part of an experiment", "Message was not sent."),
    131000: (500, "Something went wrong", "Message failed to send due to an unknown error."),
    131005: (403, "Access denied", "Permission is either not granted or has been removed."),
    131008: (400, "Required parameter is missing", "The request is missing a parameter."),
    131009: (400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131016: (500, "Service unavailable", "A service is temporarily unavailable."),
    131021: (400, "Recipient cannot be sender", "Sender and recipient are the same."),
    131026: (400, "Message undeliverable", "Unable to deliver message."),
    131030: (400, "Recipient phone number not in allowed list", "Add the number to the list."),
    131031: (403, "Account has been locked", "The account was restricted or disabled."),
    131042: (400, "Business eligibility payment issue", "There is a payment method problem."),
    131047: (400, "Re-engagement message", "More than 24 hours have passed."),
    131048: (400, "Spam rate limit hit", "There are restrictions on this phone number."),
    131049: (400, "Meta chose not to deliver", "To maintain healthy ecosystem engagement."),
    131050: (400, "User has stopped marketing messages", "The user opted out of marketing."),
    131051: (400, "Unsupported message type", "Unsupported message type."),
    131053: (400, "Media upload error", "Unable to upload the media used in the message."),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit", "Too many messages."),
    131057: (500, "Account in maintenance mode", "The account is in maintenance mode."),
    131059: (400, "Invalid cursor", "The paging cursor is invalid or has expired."),
    132000: (400, "Template param count mismatch", "The number of parameters does not match."),
    132001: (404, "Template does not exist", "The template does not exist in the language."),
    132012: (400, "Template parameter format mismatch", "Parameters are formatted incorrectly."),
    132015: (400, "Template is paused", "The template is paused due to low quality."),
    132016: (400, "Template is disabled", "The template has been disabled."),
    133010: (400, "Phone number not registered", "The phone number is not registered."),
}
_TRANSIENT = frozenset({2, 131000, 131016, 131057, 130429})


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error to answer with; what is left empty comes from the table."""

    code: int
    http: int | None = None
    details: str | None = None
    subcode: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.http or KNOWN.get(self.code, (400, "", ""))[0]

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        _http, title, details = KNOWN.get(self.code, (400, "Error", ""))
        details = details if self.details is None else self.details
        error: dict[str, Any] = {
            "message": f"(#{self.code}) {title}",
            "type": OAUTH,
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": details},
            "fbtrace_id": "A" + secrets.token_urlsafe(16),
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.code in _TRANSIENT:
            error["is_transient"] = True
        return {"error": error}


def webhook_error(code: int) -> dict[str, Any]:
    """Return the error as a failed status carries it."""
    _http, title, details = KNOWN.get(code, (400, "Error", ""))
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": details},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    }
