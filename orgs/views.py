"""Pages of whoever is logged in: the second factor, the own password, the search for pages."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from unfold.widgets import UnfoldAdminTextInputWidget

from orgs import audit, guard, second_factor, staff

WRONG = "That code is not right, or was used before. After several wrong ones, wait a little."


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        max_length=32,
        label="Code",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}
        ),
    )


@never_cache
@login_required
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Ask for a code after the password."""
    user = _user(request)
    if guard.has_passed(request):
        return redirect(_next(request))
    if second_factor.of(user) is None:
        return redirect("second_factor_set_up")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if second_factor.verify(user, form.cleaned_data["code"]):
            guard.passed(request)
            return redirect(_next(request))
        form.add_error("code", WRONG)
    return _page(request, "ask", {"title": "Second factor", "form": form, "next": _next(request)})


@never_cache
@login_required
def set_up_page(request: HttpRequest) -> HttpResponse:
    """Show the code to scan until it is confirmed; then offer to remove it."""
    user = _user(request)
    form = CodeForm(request.POST or None)
    if second_factor.of(user) is not None:
        return _remove(request, user, form)
    factor = second_factor.begin(user)
    if request.method == "POST" and form.is_valid():
        codes = second_factor.confirm(user, form.cleaned_data["code"])
        if codes:
            guard.passed(request)
            return _page(request, "codes", {"title": "Recovery codes", "codes": codes})
        form.add_error("code", WRONG)
    shown = {
        "title": "Set up a second factor",
        "form": form,
        "picture": second_factor.picture(factor),
        "secret": second_factor.typed(factor),
    }
    return _page(request, "set_up", shown)


def password_change_page(request: HttpRequest) -> HttpResponse:
    """Change one's own password; that somebody did is recorded."""
    answer: HttpResponse = admin.site.password_change(request)
    if request.method == "POST" and answer.status_code == HTTPStatus.FOUND:
        actor = staff.actor(request.user)
        audit.record([audit.Entry(None, actor, "user.password_changed", actor)])
    return answer


def search_page(request: HttpRequest) -> HttpResponse:
    """Search the names of pages; a page of results that is not there is not found."""
    try:
        answer: HttpResponse = admin.site.search(request)  # type: ignore[attr-defined]  # Unfold's
    except InvalidPage:
        raise Http404 from None
    return answer


def _remove(request: HttpRequest, user: User, form: CodeForm) -> HttpResponse:
    if not guard.has_passed(request):
        return redirect("second_factor")
    if request.method == "POST" and form.is_valid():
        if second_factor.verify(user, form.cleaned_data["code"]):
            second_factor.remove(user, actor=staff.actor(user))
            messages.success(request, "The second factor is removed.")
            return redirect("admin:index")
        form.add_error("code", WRONG)
    return _page(request, "remove", {"title": "Your second factor", "form": form})


def _user(request: HttpRequest) -> User:
    """Return who is logged in; there is no such page for others, nor when the factor is off."""
    if settings.OUTBOUND_TOTP == "off" or not request.user.is_staff:
        raise Http404
    return request.user


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    fine = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    return wanted if fine else reverse("admin:index")


def _page(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    # What the sidebar counts is not for somebody who has shown only a password.
    nothing: dict[str, Any] = {"sidebar_navigation": [], "available_apps": []}
    everything = {**admin.site.each_context(request), **nothing, **context}
    return TemplateResponse(request, f"admin/orgs/second_factor_{name}.html", everything)
