"""Checks: when each last looked and what it found; each can be run now."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from alerts import checking
from alerts.checklist import CHECKS
from alerts.models import CheckRun
from orgs import audit, staff
from orgs.admin.access import OfInstallation, ReadOnly


@admin.register(CheckRun)
class CheckRunAdmin(ReadOnly, OfInstallation, ModelAdmin[CheckRun]):
    """The checks; how often each runs is set among the schedules."""

    list_display = ["title", "found", "last_looked", "duration", "error", "failed_at"]
    list_display_links = None
    ordering = ["name"]
    actions = ["run_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CheckRun]:
        """Return the checks there are, also those that never ran."""
        CheckRun.objects.bulk_create(
            [CheckRun(name=name) for name in CHECKS], ignore_conflicts=True
        )
        rows: QuerySet[CheckRun] = super().get_queryset(request)
        return rows.filter(name__in=CHECKS)

    @display(description="Check", ordering="name")
    def title(self, run: CheckRun) -> str:
        """Return what it looks at."""
        return CHECKS[run.name].title

    @display(description="Last looked", ordering="read_at")
    def last_looked(self, run: CheckRun) -> datetime | str:
        """Return when that was."""
        return run.read_at or "never"

    @display(description="Took", ordering="duration_ms")
    def duration(self, run: CheckRun) -> str:
        """Return how long reading the figures took."""
        return f"{run.duration_ms} ms" if run.read_at else "–"

    @admin.action(description="Run now", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[CheckRun]) -> None:
        """Run the chosen checks, as their schedules do."""
        names = list(queryset.values_list("name", flat=True))
        audit.record(
            [
                audit.Entry(None, staff.actor(request.user), "alert.checked", f"check:{name}")
                for name in names
            ]
        )
        results = checking.run(names)
        if not results:
            self.message_user(request, "Alerts are off: OUTBOUND_ALERT_ENABLED.", messages.WARNING)
        for result in results:
            told = f", {result.told} notice(s) on their way" if result.told else ""
            text = f"{result.check.title}: {result.found} incident(s) open{told}."
            level = messages.SUCCESS
            if result.error:
                text, level = f"{result.check.title} failed: {result.error}.", messages.ERROR
            self.message_user(request, text, level)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may run checks."""
        return bool(request.user.has_perm("alerts.handle_alert"))
