"""Recording and reading consents over REST."""

from __future__ import annotations

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

from consent import ledger, taking
from consent.models import Consent, Source
from consent.serializers import (
    ConsentBulkResultsSerializer,
    ConsentBulkSerializer,
    ConsentDetailSerializer,
    ConsentSerializer,
    RecordConsentSerializer,
    RevokeSerializer,
    judge,
)
from orgs import database
from orgs.auth import CanManage, CanRead
from orgs.models import ApiKey
from orgs.problems import FieldProblem, Problem


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
        with transaction.atomic():
            (made,) = taking.take(_key(request).org, [body.validated_data], actor=_actor(request))
            if made.opted_out:
                raise ledger.opted_out()
        return Response(ConsentSerializer(made.consent).data, status=status.HTTP_201_CREATED)


class ConsentBulk(APIView):
    """The door for many decisions at once."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Record up to 1,000 consents",
        description=(
            "Each decision is judged by itself: the answer has a result for each, in order. "
            "Repeating the request records nothing twice when each has its `occurred_at`."
        ),
        request=ConsentBulkSerializer,
        responses={200: ConsentBulkResultsSerializer},
    )
    def post(self, request: Request) -> Response:
        """Record the good ones and say what is wrong with the others."""
        given = request.data.get("consents") if isinstance(request.data, dict) else None
        if not isinstance(given, list) or not 0 < len(given) <= taking.MOST:
            detail = f"Give a list of 1 to {taking.MOST}."
            problem = FieldProblem("consents", "invalid", detail)
            raise Problem(400, "invalid", "Request not understood", detail, [problem])
        judged = judge(given)
        good = [data for data in judged if isinstance(data, dict)]
        made = iter(taking.take(_key(request).org, good, actor=_actor(request)))
        results = [
            _result(next(made)) if isinstance(data, dict) else _refused(data) for data in judged
        ]
        return Response({"results": results})


def _result(made: ledger.Recorded) -> dict[str, Any]:
    if made.opted_out:
        problem = ledger.opted_out()
        return {"status": problem.status, "problem": problem.as_dict()}
    created = made.result == ledger.RECORDED
    return {"status": 201 if created else 200, "consent": ConsentSerializer(made.consent).data}


def _refused(errors: list[FieldProblem]) -> dict[str, Any]:
    problem = Problem(400, "invalid", "Consent refused", errors=errors)
    return {"status": problem.status, "problem": problem.as_dict()}


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
            # A client may still know the consent of a contact that was merged.
            contact_id=consent.contact.merged_into_id or consent.contact_id,
            channel=consent.channel,
            purpose=consent.purpose,
            source=Source.API,
            actor=_actor(request),
            occurred_at=database.now(),
            proof={"reason": reason} if reason else {},
        )
        (revoked,) = ledger.revoke(_key(request).org, [entry])
        return Response(ConsentSerializer(revoked).data)


def _actor(request: Request) -> str:
    return f"key:{_key(request).prefix}"


def _key(request: Request) -> ApiKey:
    key = request.auth
    if not isinstance(key, ApiKey):
        message = "The view is reached without an API key."
        raise TypeError(message)
    return key
