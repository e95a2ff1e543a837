"""What the OpenAPI document cannot find by itself: the webhook is a plain view."""

from __future__ import annotations

from typing import Any

PATH = "/api/v1/webhooks/whatsapp/inbound"


def _parameter(name: str, where: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_CHALLENGE = {
    "operationId": "whatsapp_webhook_challenge",
    "summary": "Answer Meta's challenge",
    "tags": ["webhooks"],
    "security": [],
    "parameters": [
        _parameter("hub.mode", "query", "Always subscribe."),
        _parameter("hub.verify_token", "query", "The verify token of the Meta app."),
        _parameter("hub.challenge", "query", "The text to answer with."),
    ],
    "responses": {
        "200": {"description": "The challenge as plain text."},
        "403": {"description": "Mode or token is not right."},
    },
}
_RECEIVE = {
    "operationId": "whatsapp_webhook_receive",
    "summary": "Take a webhook of Meta",
    "description": (
        "Authentic bytes are stored and answered at once; they are processed afterwards. "
        "X-Org-Id, which Meta never sends, restricts the payload to one organisation. "
        "Each Meta app may use the path with its app id appended."
    ),
    "tags": ["webhooks"],
    "security": [],
    "parameters": [
        _parameter("X-Hub-Signature-256", "header", "sha256= and the HMAC of the raw body.")
    ],
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {
        "200": {"description": "Stored."},
        "401": {"description": "The signature is missing or wrong; nothing is stored."},
        "403": {"description": "X-Org-Id names no organisation."},
        "413": {"description": "The body is over 3 MB."},
        "503": {"description": "It could not be stored; Meta repeats it."},
    },
}


def add_webhook(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Add the webhook to the document; a hook of drf-spectacular."""
    result["paths"][PATH] = {"get": _CHALLENGE, "post": _RECEIVE}
    return result
