"""How lists of messages are paged and filtered."""

from __future__ import annotations

from datetime import datetime

import django_filters
from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination

from messaging.models import MessageEvent, OutboundMessage
from messaging.states import Status


class NewestFirst(CursorPagination):
    """Pages of messages, newest first; ids sort by time."""

    ordering: tuple[str, ...] = ("-created_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class ByName(NewestFirst):
    """Pages of templates."""

    ordering = ("name", "language", "id")


class MessageFilter(django_filters.FilterSet):
    """What a client may look for among its messages."""

    status = django_filters.MultipleChoiceFilter(choices=Status.choices)
    to = django_filters.CharFilter(field_name="to_recipient", help_text="Exact, E.164 with +.")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gt")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    updated_after = django_filters.IsoDateTimeFilter(method="changed_after")

    def changed_after(
        self, messages: QuerySet[OutboundMessage], _name: str, moment: datetime
    ) -> QuerySet[OutboundMessage]:
        """Keep the messages that changed later; each change has left an event."""
        events = MessageEvent.objects.filter(recorded_at__gt=moment)
        return messages.filter(updated_at__gt=moment, pk__in=events.values("message_id"))

    class Meta:
        model = OutboundMessage
        fields = [
            "status",
            "to",
            "reference",
            "idempotency_key",
            "provider_message_id",
            "error_code",
            "template_name",
            "category",
        ]
