"""The page of failed log-ins, and letting somebody in again."""

from __future__ import annotations

from axes.models import AccessAttempt
from axes.utils import reset
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from orgs import audit, staff
from orgs.admin import confirming
from orgs.admin.access import OfInstallation, ReadOnly


@admin.register(AccessAttempt)
class AttemptAdmin(ReadOnly, OfInstallation, ModelAdmin[AccessAttempt]):
    """Names and addresses with wrong passwords since their last success."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time"]
    list_filter = ["attempt_time"]
    search_fields = ["username", "ip_address"]
    ordering = ["-attempt_time"]
    fields = ["username", "ip_address", "user_agent", "failures_since_start", "attempt_time"]
    actions = ["let_in_selected"]
    when_empty = "Nobody has typed a wrong password since they last logged in."

    @admin.action(description="Let in again", permissions=["reset"])
    def let_in_selected(
        self, request: HttpRequest, queryset: QuerySet[AccessAttempt]
    ) -> HttpResponse | None:
        """Ask for a reason; then forget the failures."""
        chosen = list(queryset)
        reason = confirming.reason(request)
        if not reason:
            names = ", ".join(sorted({str(attempt.username) for attempt in chosen}))
            plan = confirming.Plan(
                verb="forget",
                action="let_in_selected",
                title="Let in again",
                explanation=f"The failures of {names} are forgotten; they may try again at once.",
                ids=[attempt.pk for attempt in chosen],
            )
            return confirming.page(self, request, plan)
        for attempt in chosen:
            reset(username=attempt.username, ip=attempt.ip_address)
        actor = staff.actor(request.user)
        audit.record(
            [
                audit.Entry(None, actor, "login.let_in", f"login:{attempt.username}", reason)
                for attempt in chosen
            ]
        )
        self.message_user(request, f"{len(chosen)} may try again.", messages.SUCCESS)
        return None

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may let others in."""
        return bool(request.user.has_perm("axes.delete_accessattempt"))
