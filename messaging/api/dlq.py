"""The dead letter queue: list and report."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import queries
from messaging.api import schema
from messaging.api.messages import messages_of
from messaging.api.pages import MessageFilter, NewestFirst
from messaging.api.serializers import DlqReportSerializer, MessageSerializer
from messaging.models import OutboundMessage
from messaging.models.messages import MessageQuerySet
from orgs import database
from orgs.auth import CanRead


class DeadLetterList(generics.ListAPIView[OutboundMessage]):
    """The organisation's failed messages."""

    queryset = OutboundMessage.objects.none()  # for the schema; get_queryset decides
    serializer_class = MessageSerializer
    pagination_class = NewestFirst
    filterset_class = MessageFilter
    permission_classes = [CanRead]

    def get_queryset(self) -> MessageQuerySet:
        """Return the organisation's dead letters."""
        return messages_of(self.request).dead()


class DeadLetterReport(APIView):
    """The organisation's dead letter queue in numbers."""

    permission_classes = [CanRead]

    @extend_schema(
        summary="Dead letters in numbers",
        responses=schema.with_problems({200: DlqReportSerializer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Return totals, the top error codes of the last 24 hours, the trend, and what to do."""
        report = queries.dlq_report(messages_of(request), database.now())
        return Response(DlqReportSerializer(report).data)
