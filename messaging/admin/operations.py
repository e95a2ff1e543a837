"""Operations on all dead letters that matched: the list, the progress, stopping and undoing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display

from messaging import operations
from messaging.admin import confirming
from messaging.admin.dead_letter_operations import ReasonForm, in_words, told
from messaging.dead_letters import bulk
from messaging.dead_letters.selection import Selection
from messaging.models import BulkOperation, Discard
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import actors, database, staff
from orgs.admin.access import ReadOnly, Scoped

State = BulkOperation.State

COLOURS = {
    State.RUNNING: "info",
    State.STOPPED: "warning",
    State.DONE: "success",
    State.FAILED: "danger",
}

_STEPS = {
    "stop": "The workers do no more of it. What is done stays done, and it can go on later.",
    "go on": "The workers go on where it stopped, with the messages that still match.",
}

Step = Callable[..., bool]


@admin.register(BulkOperation)
class BulkOperationAdmin(ReadOnly, Scoped, ModelAdmin[BulkOperation]):
    """What was, or is being, done to all dead letters that matched a filter."""

    list_display = ["kind_label", "state_label", "about", "progress", "who", "created_at"]
    list_filter = ["state", "kind"]
    list_select_related = ["org"]
    list_per_page = 50
    show_full_result_count = False
    when_empty = "Nothing was requeued or discarded by filter yet; begin in the dead letter queue."
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Add the name of whoever began it."""
        return super().get_queryset(request).annotate(begun_by=actors.shown("actor"))

    @display(description="Operation")
    def kind_label(self, operation: BulkOperation) -> str:
        """Return what is done."""
        return str(operation.get_kind_display())

    @display(description="State", label=COLOURS)
    def state_label(self, operation: BulkOperation) -> tuple[str, str]:
        """Return how far it has come."""
        return operation.state, State(operation.state).label

    @display(description="Dead letters")
    def about(self, operation: BulkOperation) -> str:
        """Return what the messages have in common."""
        parts = ", ".join(
            f"{name} {text}" for name, text in operation.filter.items() if name != "campaign"
        )
        return parts or "all"

    @display(description="Progress")
    def progress(self, operation: BulkOperation) -> str:
        """Return how many of how many."""
        return f"{operation.done} of {operation.matched}"

    @display(description="By")
    def who(self, operation: BulkOperation) -> str:
        """Return who began it."""
        return actors.in_words(str(operation.begun_by))  # type: ignore[attr-defined]  # annotated

    def get_urls(self) -> list[URLPattern]:
        """Add the progress alone, and the buttons."""
        view = self.admin_site.admin_view
        name = "messaging_bulkoperation_{}".format
        return [
            path("<uuid:pk>/progress/", view(self.progress_view), name=name("progress")),
            path("<uuid:pk>/stop/", view(self.stop_view), name=name("stop")),
            path("<uuid:pk>/resume/", view(self.resume_view), name=name("resume")),
            path("<uuid:pk>/undo/", view(require_POST(self.undo_view)), name=name("undo")),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show it; while it runs, its progress comes anew by itself."""
        del form_url, extra_context
        operation = self._found(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{operation.get_kind_display()}: {operation.matched} messages",
            "opts": self.opts,
            **self._shown(request, operation),
        }
        return TemplateResponse(request, "admin/messaging/operation.html", context)

    def progress_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Return the part of the page that changes."""
        context = self._shown(request, self._found(request, pk))
        return render(request, "admin/messaging/operation_progress.html", context)

    def stop_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for a reason; then let the workers do no more of it."""
        return self._step(request, pk, "stop", bulk.stop)

    def resume_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for a reason; then let the workers go on with it."""
        return self._step(request, pk, "go on", bulk.resume)

    def undo_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Have what it discarded restored; go on to the progress of that."""
        operation = self._found(request, pk, to_act=True)
        form = ReasonForm(request.POST)
        problem = ""
        if not form.is_valid():
            problem = "Say why, so that others can follow it later."
        elif not bulk.can_be_undone(operation):
            problem = "Nothing of it can be restored any more."
        else:
            try:
                instruction = Instruction(
                    staff.actor(request.user), Cause.STAFF, form.cleaned_data["reason"]
                )
                operation = bulk.undo(operation, instruction)
            except bulk.TooManyError as error:
                problem = str(error)
        if problem:
            self.message_user(request, problem, messages.WARNING)
        return redirect("admin:messaging_bulkoperation_change", operation.pk)

    def _step(self, request: HttpRequest, pk: Any, verb: str, step: Step) -> HttpResponse:
        operation = self._found(request, pk, to_act=True)
        confirmed = confirming.instruction(request)
        if confirmed is None:
            plan = confirming.Plan(
                verb=verb,
                title=f"{verb.capitalize()}: {operation.get_kind_display()}",
                explanation=_STEPS[verb],
                ids=[operation.pk],
            )
            return confirming.page(self, request, plan)
        if not step(operation, actor=confirmed.actor, reason=confirmed.reason):
            self.message_user(request, "It had moved on already.", messages.WARNING)
        return redirect("admin:messaging_bulkoperation_change", operation.pk)

    def _found(self, request: HttpRequest, pk: Any, *, to_act: bool = False) -> BulkOperation:
        """Return the operation, if this person may see it, or act on it."""
        if not self.has_view_permission(request) or (to_act and not self._may_act(request)):
            raise PermissionDenied
        operation: BulkOperation | None = self.get_object(request, str(pk))
        if operation is None:
            raise Http404
        return operation

    def _may_act(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.change_outboundmessage"))

    def _shown(self, request: HttpRequest, operation: BulkOperation) -> dict[str, Any]:
        may_act = self._may_act(request)
        return {
            "operation": operation,
            "colour": COLOURS[State(operation.state)],
            "parts": in_words(Selection.of(operation.filter), request.user),
            "counts": told(operation.counts),
            "may_act": may_act,
            "may_resume": may_act and operation.state in {State.STOPPED, State.FAILED},
            "may_undo": may_act and bulk.can_be_undone(operation),
            "form": ReasonForm(),
        }

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may see messages may see what was done to them."""
        return bool(request.user.has_perm("messaging.view_outboundmessage"))


@admin.register(Discard)
class DiscardAdmin(ReadOnly, Scoped, ModelAdmin[Discard]):
    """What was discarded within a day and can still come back."""

    list_display = ["link", "org", "error_code", "failed_at", "discarded_at", "reason"]
    list_display_links = None
    list_select_related = ["org"]
    list_per_page = 50
    show_full_result_count = False
    ordering = ["-discarded_at", "-message"]
    when_empty = "Nothing was discarded within the last day."
    search_fields = ["message"]
    search_help_text = "Message id."
    actions = ["restore_selected"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return those that can still be restored."""
        rows: Any = super().get_queryset(request)
        return rows.restorable(database.now())

    @display(description="Message")
    def link(self, discard: Discard) -> str:
        """Lead to the page of the message."""
        address = reverse("admin:messaging_outboundmessage_change", args=[discard.pk])
        return format_html('<a href="{}">…{}</a>', address, str(discard.pk)[-12:])

    def get_search_results(
        self, _request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find by the whole id of the message."""
        term = search_term.strip()
        try:
            return (queryset.filter(pk=uuid.UUID(term)) if term else queryset), False
        except ValueError:
            return queryset.none(), False

    @admin.action(description="Undo the discard of the selected", permissions=["restore"])
    def restore_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Ask for a reason; then bring the messages back as the failures they were."""
        ids = list(queryset.values_list("pk", flat=True)[: operations.LARGEST_BATCH])
        confirmed = confirming.instruction(request)
        if confirmed:
            done = len(operations.restore(ids, confirmed))
            self.message_user(request, f"{done} message(s) restored.", messages.SUCCESS)
            return None
        return confirming.page(
            self,
            request,
            confirming.Plan(
                verb="restore",
                title=f"Undo the discard of {len(ids)} message(s)",
                explanation=f"{len(ids)} selected. They come back as the failures they were; "
                "nothing is sent by that.",
                ids=ids,
            ),
        )

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may see messages may see what was discarded."""
        return bool(request.user.has_perm("messaging.view_outboundmessage"))

    def has_restore_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may restore."""
        return bool(request.user.has_perm("messaging.change_outboundmessage"))
