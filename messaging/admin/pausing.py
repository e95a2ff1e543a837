"""Pausing and resuming in the console: with a reason, audited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from messaging import pausing
from messaging.admin import confirming
from messaging.operations import Instruction
from messaging.pausing import Target
from orgs.admin.organizations import OrganizationAdmin
from orgs.models import Organization

EXPLANATIONS = {
    "pause": "{count} selected. Nothing of theirs is sent until somebody resumes them; messages "
    "are still accepted and wait.",
    "resume": "{count} selected. What staff or clients have paused goes on at once; what Meta "
    "has stopped stays stopped.",
}


class Pausable(ModelAdmin[Any]):
    """Mixed into the pages of what can be paused."""

    actions = ["pause_selected", "resume_selected"]

    @admin.action(description="Pause selected", permissions=["pause"])
    def pause_selected(
        self, request: HttpRequest, queryset: QuerySet[Model]
    ) -> HttpResponse | None:
        """Stop the sending."""
        return self._confirm_pausing(request, queryset, "pause", pausing.pause)

    @admin.action(description="Resume selected", permissions=["pause"])
    def resume_selected(
        self, request: HttpRequest, queryset: QuerySet[Model]
    ) -> HttpResponse | None:
        """Let it go on."""
        return self._confirm_pausing(request, queryset, "resume", pausing.resume)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may pause and resume."""
        return bool(request.user.has_perm("messaging.pause_sending"))

    def _confirm_pausing(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        verb: str,
        deed: Callable[[Target, Instruction], object],
    ) -> HttpResponse | None:
        """Ask for a reason on a page of its own; then do it and say so."""
        confirmed = confirming.instruction(request)
        if confirmed:
            for target in queryset:
                deed(target, confirmed)
            self.message_user(request, f"{len(queryset)} {verb}d.", messages.SUCCESS)
            return None
        ids = list(queryset.values_list("pk", flat=True))
        return confirming.page(
            self,
            request,
            confirming.Plan(
                verb=verb,
                title=f"{verb.capitalize()} {len(ids)} {model_ngettext(self.opts, len(ids))}",
                explanation=EXPLANATIONS[verb].format(count=len(ids)),
                ids=ids,
            ),
        )


admin.site.unregister(Organization)


@admin.register(Organization)
class PausableOrganizationAdmin(Pausable, OrganizationAdmin):
    """The tenants, with what only the engine can do to them."""
