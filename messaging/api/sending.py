"""Pausing and resuming: the organisation as a whole, and each of its phone numbers."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import holding, pausing
from messaging.api import schema
from messaging.api.requests import actor_of, key_of, reason_of
from messaging.api.serializers import ReasonSerializer
from messaging.models import PhoneNumber
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import database
from orgs.auth import CanManage, CanRead
from orgs.models import Organization
from ratelimit import holds
from ratelimit.models import Hold


class HoldSerializer(serializers.ModelSerializer[Hold]):
    """What stands still, why, and until when."""

    next_look_at = serializers.DateTimeField(source="probe_at", allow_null=True)

    class Meta:
        model = Hold
        fields = ["scope", "key", "cause", "code", "detail", "opened_at", "until", "next_look_at"]


class PhoneNumberSerializer(serializers.ModelSerializer[PhoneNumber]):
    """A phone number and whether it may send now."""

    sending = serializers.SerializerMethodField(help_text="Whether nothing holds it.")
    holds = serializers.SerializerMethodField()

    class Meta:
        model = PhoneNumber
        fields = [
            "phone_number_id",
            "display_phone_number",
            "verified_name",
            "quality_rating",
            "throughput_level",
            "messages_per_second",
            "is_active",
            "sending",
            "holds",
        ]

    def get_sending(self, number: PhoneNumber) -> bool:
        """Say whether its messages go."""
        return number.is_active and not self._holds(number)

    @extend_schema(responses=HoldSerializer(many=True))
    def get_holds(self, number: PhoneNumber) -> Any:
        """Return what holds it, the app, the account and the organisation included."""
        return HoldSerializer(self._holds(number), many=True).data

    def _holds(self, number: PhoneNumber) -> list[Hold]:
        return holding.on_number(self.context["active"], number)


class SendingSerializer(serializers.Serializer[Any]):
    """Whether the organisation sends."""

    paused = serializers.BooleanField()
    holds = HoldSerializer(many=True)


def _numbers(request: Request) -> Any:
    numbers = PhoneNumber.objects.of(key_of(request).org)
    return numbers.select_related("account__app", "org").order_by("phone_number_id")


def _show(number: Any, *, many: bool = False) -> Response:
    context = {"active": holds.active(database.now())}
    return Response(PhoneNumberSerializer(number, many=many, context=context).data)


def _show_org(org: Organization) -> Response:
    active = holds.active(database.now()).get((Hold.Scope.ORGANIZATION, org.org_id), [])
    return Response(SendingSerializer({"paused": bool(active), "holds": active}).data)


def _instruction(request: Request) -> Instruction:
    given = ReasonSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return Instruction(actor_of(request), Cause.CLIENT, reason_of(given.validated_data))


class PhoneNumberList(APIView):
    """The organisation's phone numbers."""

    permission_classes = [CanRead]

    @extend_schema(
        summary="List phone numbers and what holds them",
        responses=schema.with_problems({200: PhoneNumberSerializer(many=True)}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Return all numbers; an organisation has few."""
        return _show(_numbers(request), many=True)


class PausePhoneNumber(APIView):
    """Have a number send nothing for a while."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Pause a phone number",
        request=ReasonSerializer,
        responses=schema.with_problems({200: PhoneNumberSerializer}, 401, 403, 404),
    )
    def post(self, request: Request, phone_number_id: str) -> Response:
        """Pause it; its messages stay queued. Pausing twice changes nothing."""
        number = get_object_or_404(_numbers(request), phone_number_id=phone_number_id)
        pausing.pause(number, _instruction(request))
        return _show(number)


class ResumePhoneNumber(APIView):
    """End a pause."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Resume a phone number",
        request=ReasonSerializer,
        responses=schema.with_problems({200: PhoneNumberSerializer}, 401, 403, 404),
    )
    def post(self, request: Request, phone_number_id: str) -> Response:
        """End the pause this organisation asked for; other holds stay and are shown."""
        number = get_object_or_404(_numbers(request), phone_number_id=phone_number_id)
        pausing.resume(number, _instruction(request))
        return _show(number)


class Sending(APIView):
    """Whether the organisation sends."""

    permission_classes = [CanRead]

    @extend_schema(
        summary="See whether the organisation sends",
        responses=schema.with_problems({200: SendingSerializer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Return the holds on the organisation as a whole."""
        return _show_org(key_of(request).org)


class PauseSending(APIView):
    """Have the organisation send nothing for a while."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Pause the organisation",
        request=ReasonSerializer,
        responses=schema.with_problems({200: SendingSerializer}, 401, 403),
    )
    def post(self, request: Request) -> Response:
        """Pause all numbers; messages are still accepted and stay queued."""
        pausing.pause(key_of(request).org, _instruction(request))
        return _show_org(key_of(request).org)


class ResumeSending(APIView):
    """End the organisation's pause."""

    permission_classes = [CanManage]

    @extend_schema(
        summary="Resume the organisation",
        request=ReasonSerializer,
        responses=schema.with_problems({200: SendingSerializer}, 401, 403),
    )
    def post(self, request: Request) -> Response:
        """End the pause this organisation asked for; one by staff stays and is shown."""
        pausing.resume(key_of(request).org, _instruction(request))
        return _show_org(key_of(request).org)
