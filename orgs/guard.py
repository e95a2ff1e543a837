"""What stands between a log-in and the console: the age of the session, the second factor."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from orgs import second_factor

BEGAN, ACTIVE, PASSED = "began_at", "active_at", "second_factor"
# How exactly the last click is known, seconds: a write per page is not worth more.
GRAIN = 30
# Sent by scripts: a page that refreshes itself is no sign that somebody looks at it.
BY_SCRIPT = "X-Requested-With"
# Sent by htmx, whoever set it off: its answer goes into a part of the page.
INTO_PAGE = "HX-Request"
OPEN = ("admin:login", "admin:logout", "admin:jsi18n")
STEPS = ("second_factor", "second_factor_set_up")


class Guard:
    """Middleware for the pages of the console; others have no session worth guarding."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request through, or send its sender to log in or to the second factor."""
        # Both with the prefix of an installation that does not begin at the root of its host.
        if request.path.startswith(_console()):
            instead = _instead(request)
            if instead is not None:
                return instead
        return self.get_response(request)


def passed(request: HttpRequest) -> None:
    """Remember that this session has shown the second factor."""
    request.session.cycle_key()
    request.session[PASSED] = request.user.pk


def has_passed(request: HttpRequest) -> bool:
    """Say whether this session has shown the second factor."""
    return bool(request.session.get(PASSED) == request.user.pk)


def _instead(request: HttpRequest) -> HttpResponse | None:
    if request.path in _paths(OPEN):
        return None
    if not request.user.is_authenticated:
        # A page goes to the log-in by its own view; a part of one must not be the log-in page.
        return _to("admin:login", request) if _is_part(request) else None
    if _is_over(request.session, request):
        logout(request)
        return _to("admin:login", request)
    return _second_step(request, request.user)


def _second_step(request: HttpRequest, user: User) -> HttpResponse | None:
    """Send to the second factor whoever has yet to show it, or to set it up."""
    if settings.OUTBOUND_TOTP == "off" or has_passed(request) or request.path in _paths(STEPS):
        return None
    if second_factor.of(user) is not None:
        return _to("second_factor", request)
    if settings.OUTBOUND_TOTP == "required":
        return _to("second_factor_set_up", request)
    return None


def _is_over(session: Any, request: HttpRequest) -> bool:
    """Say whether the session has become too old; note this sign of life otherwise."""
    now = int(time.time())
    began, active = session.setdefault(BEGAN, now), session.setdefault(ACTIVE, now)
    if now - began >= settings.OUTBOUND_SESSION_MAX_SECONDS:
        return True
    if now - active >= settings.OUTBOUND_SESSION_IDLE_SECONDS:
        return True
    if now - active >= GRAIN and BY_SCRIPT not in request.headers:
        session[ACTIVE] = now
    return False


def _to(page: str, request: HttpRequest) -> HttpResponse:
    """Send to a page that stands before the wanted one.

    A script would follow a redirect unseen and put the page where a part of its own belongs: it
    is told instead, and htmx goes there with the whole window.
    """
    address = f"{reverse(page)}?{urlencode({'next': _wanted(request)})}"
    if _is_part(request):
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def _wanted(request: HttpRequest) -> str:
    """Return the page to come back to: for a part, the one it belongs to."""
    if _is_part(request):
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        if shown.netloc == request.get_host() and shown.path.startswith(_console()):
            return f"{shown.path}?{shown.query}" if shown.query else shown.path
    elif request.method == "GET":
        return request.get_full_path()
    return reverse("admin:index")


def _is_part(request: HttpRequest) -> bool:
    return BY_SCRIPT in request.headers or INTO_PAGE in request.headers


@cache
def _console() -> str:
    return reverse("admin:index")


@cache
def _paths(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(reverse(name) for name in names)
