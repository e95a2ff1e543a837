"""Who tries to log in, from where; what axes asks, and what it tells somebody it has shut out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orgs import audit, database

SESSION_BATCH = 500


def client_address(request: HttpRequest) -> str:
    """Return the address of the person's machine.

    Each proxy in front appends whom it heard from to X-Forwarded-For, so only as many entries
    from its end as there are proxies of ours are true; the rest is what a client claims.
    """
    heard_from = str(request.META.get("REMOTE_ADDR", ""))
    proxies: int = settings.OUTBOUND_TRUSTED_PROXIES
    if not proxies:
        return heard_from
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    chain = [entry.strip() for entry in forwarded if entry.strip()]
    return chain[-proxies] if len(chain) >= proxies else heard_from


def name_of(request: HttpRequest | None, credentials: Mapping[str, Any] | None) -> str:
    """Return the name somebody logs in by; a hash of what is no user's name.

    People type a password, or a phone number, into the wrong field: that is not to be stored.
    """
    typed = (credentials or {}).get("username") or ""
    if not typed and request is not None:
        typed = request.POST.get("username", "")
    if get_user_model().objects.filter(username=typed).exists():
        return str(typed)
    return f"unknown:{hashlib.sha256(str(typed).encode()).hexdigest()[:16]}"


def shut_out(
    request: HttpRequest, _response: HttpResponse | None = None, *_args: Any
) -> HttpResponse:
    """Say that there were too many failures, and when to come back."""
    seconds: int = settings.OUTBOUND_LOGIN_LOCKOUT_SECONDS
    context = {
        **admin.site.each_context(request),
        "title": "Too many attempts",
        "minutes": max(1, seconds // 60),
    }
    answer = TemplateResponse(request, "admin/orgs/shut_out.html", context, status=429)
    answer.headers["Retry-After"] = str(seconds)
    answer.headers["Cache-Control"] = "no-store"
    return answer.render()


def purge_sessions() -> int:
    """Delete one batch of sessions that have ended; return how many."""
    ended = Session.objects.filter(expire_date__lt=database.now()).order_by("expire_date")
    keys = list(ended.values_list("pk", flat=True)[:SESSION_BATCH])
    Session.objects.filter(pk__in=keys).delete()
    return len(keys)


def note_login(sender: object, request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    """Leave an audit row of somebody who logged in."""
    del sender, request
    audit.record([audit.Entry(None, f"user:{user.pk}", "login.succeeded", f"user:{user.pk}")])


def note_shut_out(sender: object, request: HttpRequest, username: str = "", **_kwargs: Any) -> None:
    """Leave an audit row of a lock-out; not of each further try, which axes tells of too."""
    del sender
    if getattr(request, "axes_failures_since_start", None):
        audit.record([audit.Entry(None, "system:login", "login.shut_out", f"login:{username}")])
