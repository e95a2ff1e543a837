"""The organisation's quota, and what else bounds how fast and to how many it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import limits, throttles, wake
from messaging.api import schema
from messaging.api.requests import actor_of, key_of, reason_of
from messaging.models import BusinessAccount, PhoneNumber
from orgs import database
from orgs.auth import CanManage, CanRead
from orgs.models import Organization
from ratelimit import quota, reach, rules


class QuotaField(serializers.IntegerField):
    """A whole number of JSON, no text and no fraction."""

    def to_internal_value(self, data: Any) -> int:
        """Return the quota; refuse what is none."""
        try:
            return quota.checked(data)
        except quota.QuotaError as error:
            raise serializers.ValidationError(str(error), code="invalid_quota") from error


class ThroughputSerializer(serializers.Serializer[Any]):
    """How fast one phone number may send."""

    phoneNumberId = serializers.CharField()  # noqa: N815 - the API's name
    messagesPerSecond = serializers.IntegerField()  # noqa: N815
    currentMessagesPerSecond = serializers.FloatField(  # noqa: N815
        help_text="Lower for some minutes after Meta refused one message too many."
    )


class TierSerializer(serializers.Serializer[Any]):
    """How many people a business portfolio may reach in a rolling 24 hours."""

    portfolioId = serializers.CharField()  # noqa: N815
    limit = serializers.IntegerField(allow_null=True, help_text="Null: not known or unlimited.")
    reached = serializers.IntegerField()
    warning = serializers.BooleanField(help_text="Four fifths of the limit are reached.")


class QuotaSerializer(serializers.Serializer[Any]):
    """What is used of the quota, and the other limits."""

    messagesSent = serializers.IntegerField()  # noqa: N815
    quotaLimit = serializers.IntegerField()  # noqa: N815
    remainingQuota = serializers.IntegerField()  # noqa: N815
    resetAt = serializers.DateTimeField(  # noqa: N815
        allow_null=True, help_text="End of the window; null while none is open."
    )
    throttled = serializers.BooleanField(help_text="Meta's rate limits hold something back.")
    throughput = ThroughputSerializer(many=True)
    tiers = TierSerializer(many=True)


class ChangeQuotaSerializer(serializers.Serializer[Any]):
    """A new quota."""

    quotaLimit = QuotaField(min_value=1, max_value=rules.LARGEST_QUOTA)  # noqa: N815
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class WhatsAppQuota(APIView):
    """The quota of the key's organisation."""

    def get_permissions(self) -> list[Any]:
        """Reading takes read, changing takes manage."""
        return [CanManage() if self.request.method == "PUT" else CanRead()]

    @extend_schema(
        summary="See the quota and the other limits",
        responses=schema.with_problems({200: QuotaSerializer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Return what is counted; true also while Redis is away."""
        return _show(key_of(request).org)

    @extend_schema(
        summary="Change the quota",
        request=ChangeQuotaSerializer,
        responses=schema.with_problems({200: QuotaSerializer}, 400, 401, 403),
    )
    def put(self, request: Request) -> Response:
        """Set it; messages that waited for a higher one go at once."""
        given = ChangeQuotaSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        org, data = key_of(request).org, given.validated_data
        quota.change(org, data["quotaLimit"], actor=actor_of(request), reason=reason_of(data))
        wake.now(wake.SEND)
        return _show(org)


def _show(org: Organization) -> Response:
    now = database.now()
    status = quota.status(org, now)
    numbers = PhoneNumber.objects.of(org).filter(is_active=True).order_by("phone_number_id")
    content = {
        "messagesSent": status.sent,
        "quotaLimit": status.limit,
        "remainingQuota": status.remaining,
        "resetAt": status.reset_at,
        "throttled": org.pk in throttles.by_org(now, org),
        "throughput": [_throughput(number, now) for number in numbers],
        "tiers": _tiers(BusinessAccount.objects.of(org), now),
    }
    return Response(QuotaSerializer(content).data)


def _throughput(number: PhoneNumber, now: datetime) -> dict[str, Any]:
    return {
        "phoneNumberId": number.phone_number_id,
        "messagesPerSecond": number.messages_per_second,
        "currentMessagesPerSecond": round(rules.SECOND / limits.gap_of(number, now), 1),
    }


def _tiers(accounts: QuerySet[BusinessAccount], now: datetime) -> list[dict[str, Any]]:
    """Return the portfolios of the accounts; those not limited are not counted."""
    tiers = {limits.portfolio_of(account): account.portfolio_tier for account in accounts}
    found = []
    for portfolio, tier in sorted(tiers.items()):
        reached = reach.count_reached(portfolio, rules.micros(now))[0] if tier else 0
        found.append(
            {
                "portfolioId": portfolio,
                "limit": tier or None,
                "reached": reached,
                "warning": bool(tier) and reached >= tier * rules.TIER_WARNING,
            }
        )
    return found
