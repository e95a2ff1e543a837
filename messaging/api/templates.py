"""The templates of the organisation's accounts, and having them read again."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import template_sync
from messaging.api import schema
from messaging.api.pages import ByName
from messaging.api.requests import key_of
from messaging.models import BusinessAccount, MessageTemplate
from orgs.auth import CanManage, CanRead


class TemplateSerializer(serializers.ModelSerializer[MessageTemplate]):
    """A template as Meta last told it."""

    waba_id = serializers.CharField(source="account.waba_id")

    class Meta:
        model = MessageTemplate
        fields = [
            "template_id",
            "waba_id",
            "name",
            "language",
            "status",
            "category",
            "next_category",
            "parameter_format",
            "quality",
            "reason",
            "components",
            "updated_at",
        ]


class TemplateFilter(filters.FilterSet):
    """What a list of templates can be narrowed by."""

    class Meta:
        model = MessageTemplate
        fields = ["name", "language", "status", "category"]


class TemplateList(generics.ListAPIView[MessageTemplate]):
    """Templates by name and language, from our copy; Meta is not asked."""

    queryset = MessageTemplate.objects.none()  # for the schema; get_queryset decides
    serializer_class = TemplateSerializer
    permission_classes = [CanRead]
    pagination_class = ByName
    filterset_class = TemplateFilter

    def get_queryset(self) -> QuerySet[MessageTemplate]:
        """Return the organisation's templates."""
        found: QuerySet[MessageTemplate] = MessageTemplate.objects.of(key_of(self.request).org)
        return found.select_related("account")


class SyncSerializer(serializers.Serializer[Any]):
    """How many accounts will be read."""

    accounts = serializers.IntegerField()


class SyncTemplates(APIView):
    """The wish to have the templates read now, not at the next turn."""

    permission_classes: list[type[BasePermission]] = [CanManage]

    @extend_schema(
        summary="Have the templates read from Meta",
        request=None,
        responses=schema.with_problems({202: SyncSerializer}, 401, 403),
    )
    def post(self, request: Request) -> Response:
        """Ask for it; a worker does it within moments."""
        accounts = BusinessAccount.objects.of(key_of(request).org)
        return Response({"accounts": template_sync.ask_for(accounts)}, status=202)
