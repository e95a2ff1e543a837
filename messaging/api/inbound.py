"""What people have written to the organisation's numbers."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from rest_framework import generics, serializers

from messaging.api.pages import NewestFirst
from messaging.api.requests import key_of
from messaging.models import InboundMessage
from orgs.auth import CanRead


class InboundSerializer(serializers.ModelSerializer[InboundMessage]):
    """One message of a person; the text is empty once its time is over."""

    to = serializers.CharField(source="phone_number.phone_number_id")
    from_ = serializers.CharField(source="contact.phone", allow_null=True)
    from_bsuid = serializers.CharField(source="contact.bsuid", allow_null=True)
    type = serializers.CharField(source="kind")

    class Meta:
        model = InboundMessage
        fields = [
            "id",
            "from_",
            "from_bsuid",
            "to",
            "type",
            "text",
            "reply_to",
            "provider_message_id",
            "at",
            "received_at",
        ]

    def get_fields(self) -> dict[str, serializers.Field]:  # type: ignore[type-arg]  # four parameters nobody reads here
        """Give ``from``, which Python cannot name, its name."""
        fields = super().get_fields()
        return {("from" if name == "from_" else name): field for name, field in fields.items()}


class InboundFilter(django_filters.FilterSet):
    """What a list of them can be narrowed by."""

    from_ = django_filters.CharFilter(field_name="contact__phone", help_text="E.164 with +.")
    received_after = django_filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gt")

    class Meta:
        model = InboundMessage
        fields = ["reply_to", "from_"]


InboundFilter.base_filters["from"] = InboundFilter.base_filters.pop("from_")


class LastReceivedFirst(NewestFirst):
    """Pages of what was received, the latest first."""

    ordering = ("-received_at", "-id")


class InboundList(generics.ListAPIView[InboundMessage]):
    """What people have written, the latest first."""

    queryset = InboundMessage.objects.none()  # for the schema; get_queryset decides
    serializer_class = InboundSerializer
    permission_classes = [CanRead]
    pagination_class = LastReceivedFirst
    filterset_class = InboundFilter

    def get_queryset(self) -> QuerySet[InboundMessage]:
        """Return what was written to the organisation."""
        found: QuerySet[InboundMessage] = InboundMessage.objects.of(key_of(self.request).org)
        return found.select_related("phone_number", "contact")
