"""Messages, and what staff do to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from consent.phones import mask, searched
from messaging import operations, queries
from messaging.admin import confirming, drawing, message_filters
from messaging.admin.discarding import Discarding
from messaging.admin.message_list import WAITING, MessageChangeList
from messaging.models import OutboundAttempt, OutboundMessage
from messaging.operations import Instruction
from messaging.states import Status
from messaging.waiting import Waiting
from orgs.admin.access import ReadOnly, Scoped
from orgs.admin.keyset import ByKey
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
    "discard": "{count} selected. Those that are failed at this moment leave the dead letter "
    "queue and are not sent; for a day that can be undone.",
    "restore": "{count} selected. Those that were discarded within a day come back to the dead "
    "letter queue as the failures they were; nothing is sent by that.",
}
_DONE = {
    "requeue": "requeued",
    "cancel": "cancelled",
    "discard": "discarded",
    "restore": "restored",
}

# Neither shown in the list nor needed to say what a message waits for.
UNREAD = (
    *("payload", "metadata", "phone_number__account__access_token"),
    *(f"phone_number__account__app__{name}" for name in ("app_secret", "previous_app_secret")),
    "phone_number__account__app__verify_token",
)

PAGE = "admin:messaging_outboundmessage_change"

Operation = Callable[[Sequence[uuid.UUID], Instruction], list[uuid.UUID]]


@admin.register(OutboundMessage)
class OutboundMessageAdmin(Discarding, ByKey, ReadOnly, Scoped, ModelAdmin[OutboundMessage]):
    """Every message; staff read here and act through the same functions as the API."""

    list_display = [
        "short_id",
        "status_label",
        "organization",
        "recipient",
        "what",
        "why",
        "attempts",
        "accepted",
    ]
    list_filter = message_filters.ALL
    list_filter_submit = True
    list_per_page = 25  # drawing the lines takes longer than finding them
    when_empty = "Nothing was sent yet. Use the API, or send a test message."
    search_fields = ["id"]
    search_help_text = (
        "Message id, wamid, phone number with its country code, or your reference; exact."
    )
    actions = ["requeue_selected", "cancel_selected"]
    actions_detail = [
        *("requeue_one", "cancel_one", "discard_one", "restore_one"),
        *("show_recipient", "show_content"),
    ]
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
        draw=drawing.with_contents,
    )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Take the filters' own parameters for no fields, though some bear their names."""
        own = {kind.parameter_name for kind in self.list_filter}
        return lookup in own or bool(super().lookup_allowed(lookup, value, request))

    def get_changelist(self, _request: HttpRequest, **_extra: Any) -> type[MessageChangeList]:
        """Return the list that turns its pages by key."""
        return MessageChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboundMessage]:
        """Leave out what the list does not show, above all what was said and every secret."""
        queryset: QuerySet[OutboundMessage] = super().get_queryset(request)
        return queryset.select_related(
            "org", "phone_number__org", "phone_number__account__app"
        ).defer(*UNREAD)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the one page of the message, from whichever list of messages this is."""
        del request, form_url, extra_context
        return redirect(reverse(PAGE, args=[object_id]))

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
        return format_html('<span class="console-nowrap">…{}</span>', str(message.pk)[-12:])

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

    @display(description="Why")
    def why(self, message: OutboundMessage) -> str:
        """Return what a queued message waits for and until when, of others what went wrong."""
        found: Waiting | None = getattr(message, WAITING, None)
        if found is None:
            wrong: str = self.error(message)
            return wrong
        until = f", until {found.until:%m-%d %H:%M:%S}" if found.until else ""
        reason = found.reason.replace("_", " ").lower()
        return format_html('<span title="{}">waits: {}{}</span>', found.detail, reason, until)

    @display(description="Attempts")
    def attempts(self, message: OutboundMessage) -> str:
        """Return how many of its attempts are spent."""
        return f"{message.attempt_count} of {message.max_attempts}"

    @display(description="Accepted (UTC)")
    def accepted(self, message: OutboundMessage) -> str:
        """Return when the client was answered."""
        return in_two_words(message.created_at)

    @display(description="Error")
    def error(self, message: OutboundMessage) -> str:
        """Return the code with its meaning on hover."""
        if not message.error_code:
            return "–"
        title, advice = queries.explain(message.error_code)
        return format_html('<span title="{}">{} · {}</span>', advice, message.error_code, title)

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
        return answer or redirect(reverse(PAGE, args=[object_id]))

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
        level = messages.SUCCESS if done else messages.WARNING
        left = f" {asked - done} left as they were." if asked > done else ""
        self.message_user(request, f"{done} message(s) {_DONE[verb]}.{left}", level)


def in_two_words(at: datetime) -> SafeString:
    """Return a time that a narrow column breaks between the day and the hour only."""
    day, time = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
    return format_html('<span class="console-nowrap">{}</span> {}', day, time)


def _matches(term: str) -> Q:
    if term.startswith("wamid."):
        return Q(pk__in=OutboundAttempt.objects.filter(provider_message_id=term).values("message"))
    try:
        return Q(pk=uuid.UUID(term))
    except ValueError:
        pass
    # The index has only those that are not empty.
    of_reference = Q(reference=term) & ~Q(reference="")
    phone = searched(term)
    # Digits may be either.
    return Q(to_recipient=phone) | of_reference if phone else of_reference
