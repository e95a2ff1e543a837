"""What the message views ask of every request body."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from rest_framework.request import Request

from orgs.models import ApiKey
from orgs.problems import Problem


def raw_json(request: Request, limit: int | None = None) -> bytes:
    """Return the body's bytes; raise Problem 415 or 413 when it is not JSON or too large.

    The limit is that of a single message unless another one is given.
    """
    require_json(request.content_type or "")
    limit = limit or settings.OUTBOUND_API_MAX_BODY_BYTES
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if (declared.isdigit() and int(declared) > limit) or len(body := _read(request, limit)) > limit:
        raise Problem(
            413,
            "body_too_large",
            "Request body too large",
            f"At most {limit} bytes.",
        )
    return body


def require_json(content_type: str) -> None:
    """Raise Problem 415 when the body is told to be anything else."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(
            415,
            "unsupported_media_type",
            "Unsupported media type",
            "Send the body as application/json.",
        )


def _read(request: Request, limit: int) -> bytes:
    """Read no more than needed; Django's own limit is that of the webhooks."""
    body: bytes = request._request.read(limit + 1)  # noqa: SLF001 - DRF names no public way
    return body


def key_of(request: Request) -> ApiKey:
    """Return the API key the request came with."""
    return cast("ApiKey", request.auth)


def actor_of(request: Request) -> str:
    """Return the name under which the request's key acts in timeline and audit trail."""
    return name_of(key_of(request))


def name_of(key: ApiKey) -> str:
    """Return the name under which a key acts in timeline and audit trail."""
    return f"key:{key.prefix}"


def reason_of(data: Any) -> str:
    """Return the reason given, or the usual one."""
    return str(data.get("reason") or "Asked for by the client.")
