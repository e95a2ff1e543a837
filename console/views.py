"""The dashboard, whole and as the part that is fetched again."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console import dashboard as figures
from orgs import staff

MAY_SEE = "messaging.view_outboundmessage"


def into_index(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the console's first page; with figures for those who may see them."""
    context = {**context, "title": "Dashboard"}
    if request.user.has_perm(MAY_SEE):
        context |= figures.read(staff.reach(request.user))
    return context


def dashboard(request: HttpRequest) -> HttpResponse:
    """Return the figures alone, for a page that is open already."""
    if not request.user.has_perm(MAY_SEE):
        raise PermissionDenied
    return render(request, "console/dashboard.html", figures.read(staff.reach(request.user)))
