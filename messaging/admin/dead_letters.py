"""The dead letter queue: failed messages, waiting for somebody to decide."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from messaging.admin.messages import OutboundMessageAdmin
from messaging.models import DeadLetter, OutboundMessage
from messaging.states import Status


@admin.register(DeadLetter)
class DeadLetterAdmin(OutboundMessageAdmin):
    """The failed messages, waiting for somebody to decide."""

    list_display = [
        "short_id",
        "organization",
        "recipient",
        "what",
        "error",
        "attempts",
        "failed_at",
    ]
    list_filter = ["org", "error_code", "category"]
    ordering = ["-failed_at"]
    actions = ["requeue_selected"]
    actions_detail = ["requeue_one"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboundMessage]:
        """Return the dead letters only."""
        queryset: QuerySet[OutboundMessage] = super().get_queryset(request)
        return queryset.filter(status=Status.FAILED)

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Whoever may see messages may see the failed ones."""
        return bool(request.user.has_perm("messaging.view_outboundmessage"))
