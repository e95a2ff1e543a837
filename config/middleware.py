"""What only pages for people need, kept off the paths where machines post by the thousand."""

from __future__ import annotations

from typing import Any

from axes.middleware import AxesMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

API = "/api/v1/"  # authenticates by key or signature, and serves no page


class _NotOfApi:
    """Hands requests for the API on untouched; first among the bases of a middleware."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the API by; do the middleware's work elsewhere."""
        if request.path_info.startswith(API):
            passed: HttpResponseBase = self.get_response(request)
            return passed
        answer: HttpResponseBase = super().__call__(request)  # type: ignore[misc]  # the other base
        return answer


class ConsoleSession(_NotOfApi, SessionMiddleware):
    """Sessions of staff."""


class ConsoleAuthentication(_NotOfApi, AuthenticationMiddleware):
    """Who is logged in."""


class ConsoleMessages(_NotOfApi, MessageMiddleware):
    """What a page tells after an action."""


class LoginProtection(_NotOfApi, AxesMiddleware):
    """Answers whoever has tried too many passwords."""


class StaticFiles(_NotOfApi, WhiteNoiseMiddleware):
    """Style sheets and scripts of the pages."""
