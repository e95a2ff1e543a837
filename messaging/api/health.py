"""How the organisation's messages fare."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import health
from messaging.api import schema
from messaging.api.requests import key_of
from orgs.auth import CanRead


class ChannelMetricsSerializer(serializers.Serializer[Any]):
    """The messages of one channel that were accepted since `since`."""

    totalMessages = serializers.IntegerField()  # noqa: N815 - the API's names, here and below
    sentMessages = serializers.IntegerField(  # noqa: N815
        help_text="Taken by the provider and not failed since; the delivered ones too."
    )
    deliveredMessages = serializers.IntegerField()  # noqa: N815
    failedMessages = serializers.IntegerField(  # noqa: N815
        help_text="Without everyday outcomes of campaigns, such as a person's opt-out."
    )
    successRate = serializers.FloatField(  # noqa: N815
        allow_null=True, help_text="Sent of sent and failed, 0 to 1; null while there are none."
    )
    failureRate = serializers.FloatField(allow_null=True)  # noqa: N815
    averageDeliveryLatencySeconds = serializers.FloatField(  # noqa: N815
        allow_null=True, help_text="From sent to delivered."
    )


class HealthSerializer(serializers.Serializer[Any]):
    """The organisation's queue, dead letters and rates; up to 30 seconds old."""

    queuedMessages = serializers.IntegerField()  # noqa: N815
    sendingMessages = serializers.IntegerField()  # noqa: N815
    totalPendingMessages = serializers.IntegerField(help_text="Both together.")  # noqa: N815
    deadLetterQueueSize = serializers.IntegerField(  # noqa: N815
        help_text="Without everyday outcomes of campaigns."
    )
    timestamp = serializers.DateTimeField(help_text="When these figures were made.")
    since = serializers.DateTimeField(help_text="Begin of the 24 hours of `channelMetrics`.")
    channelMetrics = serializers.DictField(  # noqa: N815
        child=ChannelMetricsSerializer(), help_text="By channel, such as WHATSAPP."
    )


class OutboundHealth(APIView):
    """The health of the key's organisation."""

    permission_classes = [CanRead]

    @extend_schema(
        summary="Queue, dead letters and rates",
        responses=schema.with_problems({200: HealthSerializer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Return the figures."""
        return Response(health.of(key_of(request).org))
