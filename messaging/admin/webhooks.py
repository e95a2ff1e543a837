"""Webhook deliveries and the events found in them."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from messaging.admin.access import ReadOnly
from messaging.models import WebhookDelivery, WebhookEvent

COLOURS = {
    WebhookDelivery.Status.PENDING: "info",
    WebhookDelivery.Status.DONE: "success",
    WebhookDelivery.Status.ERROR: "danger",
}


class WebhookEventInline(ReadOnly, TabularInline[WebhookEvent, WebhookDelivery]):
    """What was found in a delivery and what came of it."""

    model = WebhookEvent
    ordering = ["position"]
    extra = 0
    fields = ["position", "topic", "result", "org", "message_id", "occurred_at", "error"]
    readonly_fields = fields


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly, ModelAdmin[WebhookDelivery]):
    """What Meta posted; the bytes themselves are not shown, they hold personal data."""

    list_display = ["id", "received_at", "state", "app", "event_count", "error"]
    list_filter = ["status", "app", "events__result"]
    list_select_related = ["app"]
    show_full_result_count = False
    ordering = ["-id"]
    exclude = ["body"]
    inlines = [WebhookEventInline]

    @display(description="State", label=COLOURS, ordering="status")
    def state(self, delivery: WebhookDelivery) -> tuple[str, str]:
        """Return how far it has come."""
        return delivery.status, WebhookDelivery.Status(delivery.status).label
