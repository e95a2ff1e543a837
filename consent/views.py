"""Recording and reading consents over REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent import contacts, ledger
from consent.models import Consent, Decision, Source
from consent.serializers import (
    ConsentDetailSerializer,
    ConsentSerializer,
    RecordConsentSerializer,
    RevokeSerializer,
)
from orgs import database
from orgs.auth import CanManage, CanRead
from orgs.models import ApiKey, Organization

RECORD: dict[str, Callable[[Organization, Sequence[ledger.Entry]], list[Consent]]] = {
    Decision.GRANTED: ledger.grant,
    Decision.DENIED: ledger.deny,
    Decision.REVOKED: ledger.revoke,
}


class ConsentFilter(django_filters.FilterSet):
    """What a client may look for among its consents."""

    phone = django_filters.CharFilter(field_name="contact__phone", help_text="Exact, E.164.")
    bsuid = django_filters.CharFilter(field_name="contact__bsuid")

    class Meta:
        model = Consent
        fields = ["phone", "bsuid", "channel", "purpose", "status"]


class NewestConsentFirst(CursorPagination):
    """Pages of consents, newest first."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200


def consents_of(request: Request) -> QuerySet[Consent]:
    """Return the consents of the key's organisation, and no others."""
    return Consent.objects.of(_key(request).org).select_related("contact")


class ConsentList(generics.ListAPIView[Consent]):
    """All consents of the organisation, and the door for new decisions."""

    queryset = Consent.objects.none()  # for the schema; get_queryset decides
    serializer_class = ConsentSerializer
    pagination_class = NewestConsentFirst
    filterset_class = ConsentFilter

    def get_permissions(self) -> list[Any]:
        """Reading and recording are different scopes."""
        return [CanManage() if self.request.method == "POST" else CanRead()]

    def get_queryset(self) -> QuerySet[Consent]:
        """Return the organisation's consents."""
        return consents_of(self.request)

    @extend_schema(
        summary="Record a consent",
        request=RecordConsentSerializer,
        responses={201: ConsentSerializer},
    )
    def post(self, request: Request) -> Response:
        """Record a decision and return the present answer."""
        body = RecordConsentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        data, org, person = body.validated_data, _key(request).org, body.recipient()
        with transaction.atomic():
            contact = contacts.find_or_create(org, [person])[person]
            entry = ledger.Entry(
                contact_id=contact.pk,
                channel=data["channel"],
                purpose=data["purpose"],
                source=data["source"],
                actor=f"key:{_key(request).prefix}",
                occurred_at=data.get("occurred_at") or database.now(),
                proof=data["proof"],
                expires_at=data["expires_at"],
            )
            (consent,) = RECORD[data["status"]](org, [entry])
        return Response(ConsentSerializer(consent).data, status=status.HTTP_201_CREATED)


class ConsentDetail(generics.RetrieveAPIView[Consent]):
    """One consent with its history."""

    queryset = Consent.objects.none()  # for the schema; get_queryset decides
    serializer_class = ConsentDetailSerializer
    permission_classes = [CanRead]

    def get_queryset(self) -> QuerySet[Consent]:
        """Return the organisation's consents with their history."""
        return consents_of(self.request).prefetch_related("events")


class RevokeConsent(APIView):
    """Taking one consent back."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Revoke a consent", request=RevokeSerializer, responses={200: ConsentSerializer}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Revoke it; messages already queued are stopped before they are sent."""
        body = RevokeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        consent = get_object_or_404(consents_of(request), pk=pk)
        reason = body.validated_data["reason"]
        entry = ledger.Entry(
            contact_id=consent.contact_id,
            channel=consent.channel,
            purpose=consent.purpose,
            source=Source.API,
            actor=f"key:{_key(request).prefix}",
            occurred_at=database.now(),
            proof={"reason": reason} if reason else {},
        )
        (revoked,) = ledger.revoke(_key(request).org, [entry])
        return Response(ConsentSerializer(revoked).data)


def _key(request: Request) -> ApiKey:
    key = request.auth
    if not isinstance(key, ApiKey):
        message = "The view is reached without an API key."
        raise TypeError(message)
    return key
