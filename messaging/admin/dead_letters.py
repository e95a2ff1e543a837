"""The dead letter queue: failed messages, waiting for somebody to decide."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from messaging.admin import dead_letter_causes, dead_letter_filters, dead_letter_operations
from messaging.admin.messages import OutboundMessageAdmin, in_two_words
from messaging.dead_letters.selection import PARTS, Selection
from messaging.models import BulkOperation, DeadLetter, OutboundMessage
from messaging.states import Status
from orgs.admin.keyset import AFTER, BEFORE

Kind = BulkOperation.Kind


@admin.register(DeadLetter)
class DeadLetterAdmin(OutboundMessageAdmin):
    """The failed messages, by cause and one by one."""

    list_display = [
        "short_id",
        "organization",
        "recipient",
        "what",
        "error",
        "attempts",
        "failed",
    ]
    list_filter = dead_letter_filters.ALL
    when_empty = "No message has failed."
    list_before_template = "admin/messaging/dead_letter_bar.html"
    actions = ["requeue_selected", "discard_selected"]
    actions_detail = ["requeue_one", "discard_one"]
    actions_row = ["requeue_one", "discard_one"]

    @display(description="Failed (UTC)")
    def failed(self, message: OutboundMessage) -> str:
        """Return when it failed."""
        return in_two_words(message.failed_at) if message.failed_at else "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboundMessage]:
        """Return the dead letters only."""
        queryset: QuerySet[OutboundMessage] = super().get_queryset(request)
        return queryset.filter(status=Status.FAILED)

    def get_urls(self) -> list[URLPattern]:
        """Add the page of causes and those that act on all that match."""
        view = self.admin_site.admin_view
        return [
            path("causes/", view(self.causes), name="messaging_deadletter_causes"),
            path(
                "requeue-all/",
                view(self.act_on_all),
                {"kind": Kind.REQUEUE},
                name="messaging_deadletter_requeue_all",
            ),
            path(
                "discard-all/",
                view(self.act_on_all),
                {"kind": Kind.DISCARD},
                name="messaging_deadletter_discard_all",
            ),
            *super().get_urls(),
        ]

    def causes(self, request: HttpRequest) -> HttpResponse:
        """Show the queue in groups."""
        return dead_letter_causes.page(self, request)

    def act_on_all(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Say what would happen to all that match and ask for a reason; then begin."""
        return dead_letter_operations.confirm(self, request, Kind(kind))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, with the way to act on all that match the filter."""
        selection = _shown(request)
        bar = {
            "causes_url": reverse("admin:messaging_deadletter_causes"),
            "may_act_on_all": selection is not None and self.has_requeue_permission(request),
            "selection_query": urlencode(selection.as_texts()) if selection else "",
        }
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **bar})
        return answer

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may see messages may see the failed ones."""
        return bool(request.user.has_perm("messaging.view_outboundmessage"))


def _shown(request: HttpRequest) -> Selection | None:
    """Return what the list shows; None when it is narrowed by more than a selection says.

    What is searched for, or cannot be read, must not become an operation on everything.
    """
    given = {name: text for name, text in request.GET.items() if text}
    if given.keys() - PARTS - {BEFORE, AFTER}:
        return None
    try:
        return Selection.of(given)
    except ValueError:
        return None
