"""The dashboard, whole and as the part that is fetched again."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console import dashboard as figures


def into_index(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the console's first page, with the dashboard's figures in it."""
    return {**context, "title": "Dashboard", **figures.read()}


def dashboard(request: HttpRequest) -> HttpResponse:
    """Return the figures alone, for a page that is open already."""
    return render(request, "console/dashboard.html", figures.read())
