"""Holds: what stands still, why, and the way to let it go."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orgs import staff
from orgs.admin import confirming
from orgs.admin.access import Scoped
from ratelimit import holds
from ratelimit.models import Hold


@admin.register(Hold)
class HoldAdmin(Scoped, ModelAdmin[Hold]):
    """Staff see what is held and may lift it when the cause is gone."""

    list_display = ["key", "scope", "org", "cause_label", "opened_at", "ends"]
    list_filter = ["scope", "cause", "org"]
    list_select_related = ["org"]
    search_fields = ["key"]
    ordering = ["-opened_at"]
    actions = ["lift_selected"]
    when_empty = "Nothing stands still: no number, template, account or app is held."

    @display(description="Cause", label=True)
    def cause_label(self, hold: Hold) -> str:
        """Return why it stands still."""
        return Hold.Cause(hold.cause).label

    @display(description="Ends", ordering="until")
    def ends(self, hold: Hold) -> str:
        """Return when it ends by itself, or is next tried."""
        if hold.until:
            return f"{hold.until:%d %b %H:%M:%S}"
        return f"tried again {hold.probe_at:%H:%M:%S}" if hold.probe_at else "when lifted"

    @admin.action(description="Lift selected holds", permissions=["lift"])
    def lift_selected(self, request: HttpRequest, queryset: QuerySet[Hold]) -> HttpResponse | None:
        """Ask for a reason; then let the held messages go at once."""
        reason = confirming.reason(request)
        if reason:
            count = holds.lift(queryset, actor=staff.actor(request.user), reason=reason)
            self.message_user(request, f"{count} hold(s) lifted.", messages.SUCCESS)
            return None
        ids = list(queryset.values_list("pk", flat=True))
        plan = confirming.Plan(
            verb="lift",
            title=f"Lift {len(ids)} hold(s)",
            explanation="What they hold goes at once; where the cause is still there, Meta "
            "refuses it and the hold comes back.",
            ids=ids,
        )
        return confirming.page(self, request, plan)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may lift holds."""
        return bool(request.user.has_perm("ratelimit.delete_hold"))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Holds are placed by the engine."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Holds are placed and lengthened by the engine."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Lifting is an action of its own, which is audited."""
        return False
