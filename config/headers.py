"""What a page may load and do, told to the browser; the API answers machines and is left alone."""

from __future__ import annotations

from typing import Any

from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

API = "/api/v1/"
CONSOLE = "/admin/"
API_PAGES = "/api/docs/"

_SELF = ["'self'"]
STRICT: dict[str, Any] = {
    "default-src": _SELF,
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": _SELF,
    "frame-ancestors": ["'none'"],
}
# Unfold's Alpine compiles the expressions of its templates, and sets styles on elements.
_CONSOLE = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "img-src": ["'self'", "data:"],
}
_API_PAGES = {"style-src": ["'self'", "'unsafe-inline'"], "img-src": ["'self'", "data:"]}

# Nothing here needs any of it.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
        *("magnetometer", "microphone", "midi", "payment", "usb"),
    )
)


class PageHeaders(CSPMiddleware):
    """The content security policy, a looser one for the console only, and no device features."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the API by."""
        if request.path_info.startswith(API):
            passed: HttpResponseBase = self.get_response(request)  # type: ignore[assignment]  # as below
            return passed
        answer: HttpResponseBase = super().__call__(request)  # type: ignore[assignment]  # no coroutine here
        answer.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return answer

    def get_policy_parts(
        self,
        request: HttpRequest,
        response: HttpResponseBase,
        report_only: bool = False,  # noqa: FBT001, FBT002 - the package's signature
    ) -> PolicyParts:
        """Loosen the strict policy where a page needs it."""
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and parts.update is None:
            if request.path_info.startswith(CONSOLE):
                parts.update = _CONSOLE
            elif request.path_info.startswith(API_PAGES):
                parts.update = _API_PAGES
        return parts
