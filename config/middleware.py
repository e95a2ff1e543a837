"""What only pages for people need, kept off the paths where machines post by the thousand."""

from __future__ import annotations

from typing import Any

from axes.middleware import AxesMiddleware
from csp.middleware import CSPMiddleware, PolicyParts
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from config import headers

API = "/api/v1/"  # authenticates by key or signature, and serves no page


class NotOfApi:
    """Hands requests for the API on untouched; first among the bases of a middleware."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the API by; do the middleware's work elsewhere."""
        if request.path_info.startswith(API):
            passed: HttpResponseBase = self.get_response(request)
            return passed
        answer: HttpResponseBase = super().__call__(request)  # type: ignore[misc]  # the other base
        return answer


class ConsoleSession(NotOfApi, SessionMiddleware):
    """Sessions of staff."""


class ConsoleAuthentication(NotOfApi, AuthenticationMiddleware):
    """Who is logged in."""


class ConsoleMessages(NotOfApi, MessageMiddleware):
    """What a page tells after an action."""


class LoginProtection(NotOfApi, AxesMiddleware):
    """Answers whoever has tried too many passwords."""


class StaticFiles(NotOfApi, WhiteNoiseMiddleware):
    """Style sheets and scripts of the pages."""


class _Headers(CSPMiddleware):
    """What browsers are told with every answer."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Add that no page uses a device."""
        answer: HttpResponseBase = super().__call__(request)  # type: ignore[assignment]  # no coroutine here
        answer.headers.setdefault("Permissions-Policy", headers.PERMISSIONS)
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
            if request.path_info.startswith(headers.CONSOLE):
                parts.update = headers.FOR_CONSOLE
            elif request.path_info.startswith(headers.API_PAGES):
                parts.update = headers.FOR_API_PAGES
        return parts


class PageHeaders(NotOfApi, _Headers):
    """The content security policy, a looser one for the console only, and no device features."""
