"""The processes at work, as they told last: what the dashboard counts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from messaging import heartbeats
from messaging.models import Heartbeat
from orgs import database
from orgs.admin.access import OfInstallation, ReadOnly


class AtWorkFilter(admin.SimpleListFilter):
    """Seen lately, or not any more."""

    title = "at work"
    parameter_name = "at_work"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("yes", "At work"), ("no", "Not seen any more")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Heartbeat]) -> QuerySet[Heartbeat]:
        """Keep the chosen ones."""
        since = database.now() - heartbeats.MISSING_AFTER
        match self.value():
            case "yes":
                return queryset.filter(seen_at__gt=since)
            case "no":
                return queryset.filter(seen_at__lte=since)
        return queryset


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, OfInstallation, ModelAdmin[Heartbeat]):
    """Workers and beat; the row of one that is gone stays for a day."""

    list_display = ["name", "kind", "state", "started_at", "seen_at"]
    list_filter = ["kind", AtWorkFilter]
    ordering = ["kind", "-seen_at"]
    when_empty = "Neither a worker nor beat was seen yet: start them, and they say so here."

    @display(description="State", label={"at work": "success", "not seen any more": "danger"})
    def state(self, heartbeat: Heartbeat) -> str:
        """Say whether it was seen lately."""
        is_seen = heartbeat.seen_at > database.now() - heartbeats.MISSING_AFTER
        return "at work" if is_seen else "not seen any more"
