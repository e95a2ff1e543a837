"""Messages, and what staff do to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from consent.phones import mask, to_e164
from messaging import operations, queries
from messaging.admin import confirming
from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.operations import Instruction
from messaging.states import Status
from messaging.waiting import Board
from orgs import database
from orgs.admin.access import ReadOnly, Scoped, ScopedInline
from orgs.admin.revealing import revealing

COLOURS = {
    Status.QUEUED: "info",
    Status.SENDING: "warning",
    Status.SENT: "primary",
    Status.DELIVERED: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "default",
}

EXPLANATIONS = {
    "requeue": "{count} selected. Those that are failed at this moment will be sent again, with "
    "fresh attempts; consent and expiry are asked again first.",
    "cancel": "{count} selected. Those that are queued at this moment will be withdrawn; one "
    "that a worker has already taken may still arrive.",
}

Operation = Callable[[Sequence[uuid.UUID], Instruction], list[uuid.UUID]]


class AttemptInline(ReadOnly, ScopedInline, TabularInline[OutboundAttempt, OutboundMessage]):
    """The calls made for a message."""

    model = OutboundAttempt
    ordering = ["attempt_number"]
    extra = 0
    tab = True
    hide_title = True
    fields = [
        "attempt_number",
        "outcome",
        "charged",
        "started_at",
        "duration_ms",
        "http_status",
        "error_code",
        "error_message",
        "receipts",
        "trace_id",
        "excerpt",
    ]
    readonly_fields = fields


class EventInline(ReadOnly, ScopedInline, TabularInline[MessageEvent, OutboundMessage]):
    """The timeline of a message."""

    model = MessageEvent
    verbose_name_plural = "timeline"
    ordering = ["id"]
    extra = 0
    tab = True
    hide_title = True
    fields = [
        "at",
        "kind",
        "from_status",
        "to_status",
        "cause",
        "attempt_number",
        "code",
        "actor",
        "reason",
    ]
    readonly_fields = fields


@admin.register(OutboundMessage)
class OutboundMessageAdmin(ReadOnly, Scoped, ModelAdmin[OutboundMessage]):
    """Every message; staff read here and act through the same functions as the API."""

    list_display = [
        "short_id",
        "status_label",
        "organization",
        "recipient",
        "what",
        "error",
        "attempt_count",
        "created_at",
    ]
    list_filter = ["status", "org", "error_code", "category", "priority"]
    list_select_related = ["org"]
    list_per_page = 50
    show_full_result_count = False
    ordering = ["-created_at", "-id"]
    search_fields = ["id"]
    search_help_text = "Message id, wamid, phone number (E.164) or your reference; exact."
    actions = ["requeue_selected", "cancel_selected"]
    actions_detail = ["requeue_one", "cancel_one", "show_recipient", "show_content"]
    show_recipient = revealing(
        "Show the recipient",
        permission="unmask",
        audited_as="message.unmasked",
        read=lambda message: message.to_recipient,
    )
    show_content = revealing(
        "Show the content",
        permission="open",
        audited_as="message.opened",
        read=lambda message: json.dumps(message.payload, ensure_ascii=False, indent=2),
    )
    inlines = [EventInline, AttemptInline]
    # What was said, and to whom in full, is not shown here.
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "status",
                    "waits_for",
                    "error",
                    "error_message",
                    "advice",
                    "recipient",
                    "what",
                    "category",
                    "priority",
                    "org",
                    "phone_number",
                    "reference",
                ]
            },
        ),
        (
            "Times (UTC)",
            {
                "fields": [
                    "created_at",
                    "scheduled_at",
                    "due_at",
                    "expires_at",
                    "accepted_at",
                    "sent_at",
                    "delivered_at",
                    "read_at",
                    "failed_at",
                ]
            },
        ),
        (
            "Delivery",
            {
                "fields": [
                    "attempt_count",
                    "max_attempts",
                    "provider_message_id",
                    "pricing",
                    "idempotency_key",
                    "claim_id",
                    "lease_expires_at",
                ]
            },
        ),
    ]
    readonly_fields = ["waits_for", "error", "advice", "recipient", "what"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutboundMessage], search_term: str
    ) -> tuple[QuerySet[OutboundMessage], bool]:
        """Find by what staff have at hand; every way is an index look-up, never a scan."""
        del request
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(_matches(term)), False

    @display(description="Message", ordering="id")
    def short_id(self, message: OutboundMessage) -> str:
        """Return the end of the id, which is what differs between neighbours."""
        return f"…{str(message.pk)[-12:]}"

    @display(description="Status", label=COLOURS, ordering="status")
    def status_label(self, message: OutboundMessage) -> tuple[str, str]:
        """Return the status and its name."""
        return message.status, Status(message.status).label

    @display(description="Organisation", ordering="org")
    def organization(self, message: OutboundMessage) -> str:
        """Return the public id."""
        return message.org.org_id

    @display(description="Recipient")
    def recipient(self, message: OutboundMessage) -> str:
        """Return the masked recipient."""
        return mask(message.to_recipient)

    @display(description="Message kind")
    def what(self, message: OutboundMessage) -> str:
        """Return the kind, with the template's name."""
        return f"{message.kind} {message.template_name}".strip()

    @display(description="Waits for")
    def waits_for(self, message: OutboundMessage) -> str:
        """Return why a queued message is not going yet, and when that is next looked at."""
        waiting = Board.at(database.now()).of(message)
        if waiting is None:
            return "–"
        until = f"{waiting.until:%Y-%m-%d %H:%M:%S} UTC" if waiting.until else "somebody ends it"
        return f"{waiting.reason.replace('_', ' ')}, until {until}. {waiting.detail}"

    @display(description="Error")
    def error(self, message: OutboundMessage) -> str:
        """Return the code with its meaning on hover."""
        if not message.error_code:
            return "–"
        title, advice = queries.explain(message.error_code)
        return format_html('<span title="{}">{} · {}</span>', advice, message.error_code, title)

    @display(description="What to do")
    def advice(self, message: OutboundMessage) -> str:
        """Return the advice that belongs to the error."""
        return queries.explain(message.error_code)[1] if message.error_code else "–"

    def has_requeue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may requeue; on a message's page, whether it has failed."""
        return self._may(request, object_id, Status.FAILED)

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may cancel; on a message's page, whether it is queued."""
        return self._may(request, object_id, Status.QUEUED)

    def _may(self, request: HttpRequest, object_id: Any, status: Status) -> bool:
        if not request.user.has_perm("messaging.change_outboundmessage"):
            return False
        if object_id is None:
            return True
        found = self.get_object(request, str(object_id))
        return found is not None and found.status == status

    @admin.action(description="Requeue selected", permissions=["requeue"])
    def requeue_selected(
        self, request: HttpRequest, queryset: QuerySet[OutboundMessage]
    ) -> HttpResponse | None:
        """Give failed messages fresh attempts."""
        return self._confirm(request, queryset, "requeue", operations.requeue)

    @admin.action(description="Cancel selected", permissions=["cancel"])
    def cancel_selected(
        self, request: HttpRequest, queryset: QuerySet[OutboundMessage]
    ) -> HttpResponse | None:
        """Withdraw queued messages."""
        return self._confirm(request, queryset, "cancel", operations.cancel)

    @action(description="Requeue", permissions=["requeue"], url_path="requeue")
    def requeue_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give this message fresh attempts."""
        return self._confirm_one(request, object_id, "requeue", operations.requeue)

    @action(description="Cancel", permissions=["cancel"], url_path="cancel")
    def cancel_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Withdraw this message."""
        return self._confirm_one(request, object_id, "cancel", operations.cancel)

    def _confirm_one(
        self, request: HttpRequest, object_id: str, verb: str, operation: Operation
    ) -> HttpResponse:
        chosen = self.get_queryset(request).filter(pk=self.row_or_404(request, object_id).pk)
        answer = self._confirm(request, chosen, verb, operation)
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return answer or redirect(reverse(page))

    def _confirm(
        self,
        request: HttpRequest,
        queryset: QuerySet[OutboundMessage],
        verb: str,
        operation: Operation,
    ) -> HttpResponse | None:
        """Ask for a reason on a page of its own; then do it and say what was done."""
        ids = list(queryset.values_list("pk", flat=True)[: operations.LARGEST_BATCH])
        confirmed = confirming.instruction(request)
        if confirmed:
            self._report(request, len(ids), len(operation(ids, confirmed)), verb)
            return None
        return confirming.page(
            self,
            request,
            confirming.Plan(
                verb=verb,
                title=f"{verb.capitalize()} {len(ids)} message(s)",
                explanation=EXPLANATIONS[verb].format(count=len(ids)),
                ids=ids,
            ),
        )

    def _report(self, request: HttpRequest, asked: int, done: int, verb: str) -> None:
        word = "requeued" if verb == "requeue" else "cancelled"
        level = messages.SUCCESS if done else messages.WARNING
        left = f" {asked - done} left as they were." if asked > done else ""
        self.message_user(request, f"{done} message(s) {word}.{left}", level)


def _matches(term: str) -> Q:
    if term.startswith("wamid."):
        return Q(pk__in=OutboundAttempt.objects.filter(provider_message_id=term).values("message"))
    try:
        return Q(pk=uuid.UUID(term))
    except ValueError:
        pass
    if term.startswith("+"):
        try:
            return Q(to_recipient=to_e164(term))
        except ValueError:
            return Q(pk__in=[])
    return Q(reference=term)
