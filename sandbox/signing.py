"""Bytes and signature as Meta makes them."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any


def encode(payload: Mapping[str, Any]) -> bytes:
    """Return JSON with non-ASCII as escapes in small hexadecimals, and every slash escaped."""
    text = json.dumps(payload, separators=(",", ":"))
    # In JSON a slash can only stand inside a text.
    return text.replace("/", "\\/").encode("ascii")


def signature(body: bytes, app_secret: str) -> str:
    """Return the value of X-Hub-Signature-256 over exactly these bytes."""
    return "sha256=" + hmac.digest(app_secret.encode(), body, "sha256").hex()
