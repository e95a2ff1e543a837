"""Webhook deliveries and the events found in them."""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from messaging import replay
from messaging.admin import confirming
from messaging.models import WebhookDelivery, WebhookEvent
from orgs.admin.access import ReadOnly, Scoped, ScopedInline
from orgs.admin.keyset import ByKey
from orgs.admin.revealing import revealing

# One request of the console processes so many again; the command has no such bound.
MOST_AT_ONCE = 10_000

COLOURS = {
    WebhookDelivery.Status.PENDING: "info",
    WebhookDelivery.Status.DONE: "success",
    WebhookDelivery.Status.ERROR: "danger",
}


def _as_text(delivery: WebhookDelivery) -> str:
    """Return the body as text, indented when it is JSON."""
    body = bytes(delivery.body)
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


class WebhookEventInline(ReadOnly, ScopedInline, TabularInline[WebhookEvent, WebhookDelivery]):
    """What was found in a delivery and what came of it."""

    model = WebhookEvent
    ordering = ["position"]
    extra = 0
    fields = ["position", "topic", "result", "org", "message", "occurred_at", "error"]
    readonly_fields = fields

    @display(description="Message")
    def message(self, event: WebhookEvent) -> str:
        """Link to the message it is about."""
        if event.message_id is None:
            return "–"
        url = reverse("admin:messaging_outboundmessage_change", args=[event.message_id])
        return format_html('<a href="{}">…{}</a>', url, str(event.message_id)[-12:])


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ByKey, ReadOnly, Scoped, ModelAdmin[WebhookDelivery]):
    """What Meta posted; the bytes hold personal data and are shown to few."""

    list_display = ["id", "received_at", "state", "app", "event_count", "error"]
    list_filter = ["status", "app", "events__result"]
    list_select_related = ["app"]
    led_to = frozenset({"status"})
    told_by = "received_at"
    ordering = ["-id"]
    when_empty = "Meta has posted nothing yet; each phone number's page says how to set that up."
    exclude = ["body"]
    actions = ["process_again"]
    actions_detail = ["show_body"]
    show_body = revealing(
        "Show the body",
        permission="open",
        audited_as="webhook.body_shown",
        read=_as_text,
    )

    def get_inlines(self, _request: HttpRequest, obj: WebhookDelivery | None = None) -> list[Any]:
        """Show the events, where there are any."""
        return [WebhookEventInline] if obj is not None and obj.event_count else []

    @admin.action(description="Process again", permissions=["replay"])
    def process_again(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]
    ) -> HttpResponse | None:
        """Put them back into the inbox; all that match the filter when all are chosen."""
        confirmed = confirming.instruction(request)
        if confirmed:
            count = replay.process_again(
                queryset.order_by(),
                actor=confirmed.actor,
                reason=confirmed.reason,
                most=MOST_AT_ONCE,
            )
            self.message_user(request, f"{count} are processed again.", messages.SUCCESS)
            return None
        count = queryset.distinct().count()
        return confirming.page(
            self,
            request,
            confirming.Plan(
                verb="process",
                action="process_again",
                title=f"Process {min(count, MOST_AT_ONCE)} webhooks again",
                explanation=_explanation(count),
                ids=list(queryset.values_list("pk", flat=True).distinct()[: replay.BATCH]),
                everything=request.POST.get("select_across") == "1",
            ),
        )

    def has_open_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """A body may tell of many people: this is a right of its own."""
        return bool(request.user.has_perm("messaging.view_webhook_body"))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may have webhooks processed again."""
        return bool(request.user.has_perm("messaging.replay_webhook"))

    @display(description="State", label=COLOURS, ordering="status")
    def state(self, delivery: WebhookDelivery) -> tuple[str, str]:
        """Return how far it has come."""
        return delivery.status, WebhookDelivery.Status(delivery.status).label


def _explanation(count: int) -> str:
    text = "The workers read them again. What they have done before is not done twice."
    if count > MOST_AT_ONCE:
        text += (
            f" {count} match: the oldest {MOST_AT_ONCE} are taken now. For all at once use "
            "manage.py replay_webhooks."
        )
    return text
