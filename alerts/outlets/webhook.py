"""A webhook for whoever listens (PagerDuty and the like), signed as Standard Webhooks describes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from typing import Any

import orjson
from django.utils import timezone

from alerts.outlets import http
from alerts.outlets.base import Letter, OutletError

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret


def send(letter: Letter) -> None:
    """Post it with its signature; raise OutletError."""
    body = orjson.dumps(payload(letter), option=orjson.OPT_UTC_Z)
    # The same id at each try, so that the other side knows a repetition.
    message_id, at = f"notice_{letter.notice_id}", timezone.now()
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature(letter.secret, message_id, at, body),
    }
    http.post(letter.url, body, headers)


def payload(letter: Letter) -> dict[str, Any]:
    """Return what is posted."""
    content = letter.content
    of_incident = letter.alert_id is not None
    return {
        "type": f"incident.{letter.kind}" if of_incident else f"alerts.{letter.kind}",
        "timestamp": letter.created_at,
        "data": {
            "incident": letter.alert_id,
            "severity": letter.severity,
            "status": "resolved" if letter.is_resolved else "open" if of_incident else None,
            "headline": letter.headline,
            "link": letter.link or None,
            **{
                name: content.get(name)
                for name in (
                    *("rule", "key", "org", "title", "summary", "figures", "table", "advice"),
                    *("opened_at", "resolved_at", "reopened"),
                )
            },
        },
    }


def signature(secret: str, message_id: str, at: datetime, body: bytes) -> str:
    """Return the header's value; raise OutletError when the secret is none."""
    signed = f"{message_id}.{int(at.timestamp())}.".encode() + body
    if not is_secret(secret):
        text = "The signing secret is not of the form whsec_…"
        raise OutletError(text, permanent=True)
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def is_secret(secret: str) -> bool:
    """Say whether it is a secret as Standard Webhooks writes it: 24 to 64 bytes as base64."""
    return secret.startswith(PREFIX) and SHORTEST <= len(_key(secret)) <= LONGEST


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return b""
