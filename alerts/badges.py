"""The small count beside the entry of the sidebar."""

from __future__ import annotations

from django.http import HttpRequest

from alerts.models import Alert
from orgs import staff


def incidents(request: HttpRequest) -> str:
    """Return how many incidents in this person's reach are open; empty: none."""
    return str(staff.visible(Alert.objects.open(), request.user).count() or "")
