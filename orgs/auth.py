"""From the Authorization header to the organisation that asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orgs import keys
from orgs.models import ApiKey
from orgs.problems import Problem


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """The one who asks, as Django REST framework wants it: a key, not a person."""

    key: ApiKey
    is_authenticated: bool = True


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer <key>``; X-Org-Id, if sent, must name the key's organisation."""

    def authenticate(self, request: Request) -> tuple[KeyPrincipal, ApiKey] | None:
        """Return the principal and its key; raise Problem 401 or 403."""
        key = key_in(request.META)
        return KeyPrincipal(key), key

    def authenticate_header(self, _request: Request) -> str:
        """Name the scheme, for WWW-Authenticate."""
        return "Bearer"


def key_in(environ: Mapping[str, Any]) -> ApiKey:
    """Return the API key in a WSGI environment's headers; raise Problem 401 or 403."""
    scheme, _, secret = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise _unauthenticated("Send your API key as Authorization: Bearer <key>.")
    key = keys.find(secret.strip())
    if key is None:
        raise _unauthenticated("This API key is not valid or has been revoked.")
    if not key.org.is_active:
        raise Problem(
            403, "org_inactive", "Not allowed", "This organisation has been made inactive."
        )
    org_id = environ.get("HTTP_X_ORG_ID")
    if org_id is not None and org_id != key.org.org_id:
        raise Problem(
            403, "org_mismatch", "Not allowed", "X-Org-Id is not the organisation of this key."
        )
    return key


def require(key: ApiKey | None, scope: str) -> None:
    """Raise Problem 403 naming the scope unless the key has it."""
    if key is None or scope not in key.scopes:
        detail = f"This API key lacks the scope {scope}."
        raise Problem(403, "scope_required", "Not allowed", detail)


class _HasScope(BasePermission):
    scope = ""

    def has_permission(self, request: Request, _view: Any) -> bool:
        """Say whether the key has the scope; raise Problem 403 naming it otherwise."""
        require(request.auth if isinstance(request.auth, ApiKey) else None, self.scope)
        return True


class CanSend(_HasScope):
    """The key may create, cancel and retry messages."""

    scope = "send"


class CanRead(_HasScope):
    """The key may read messages and consents."""

    scope = "read"


class CanManage(_HasScope):
    """The key may record consents and change limits."""

    scope = "manage"


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, "authentication_required", "Authentication required", detail)
