"""Create, list, read, cancel and retry messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging import intake, operations
from messaging.api import bodies, rendering, schema
from messaging.api.pages import MessageFilter, NewestFirst
from messaging.api.requests import (
    actor_of,
    key_of,
    name_of,
    raw_json,
    reason_of,
    require_json,
)
from messaging.api.serializers import (
    AcceptedSerializer,
    MessageDetailSerializer,
    MessageSerializer,
    ReasonSerializer,
)
from messaging.models import OutboundAttempt, OutboundMessage
from messaging.models.messages import MessageQuerySet
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import shortcut
from orgs.auth import CanRead, CanSend, key_in, require
from orgs.models import ApiKey
from orgs.problems import Problem
from orgs.shortcut import Answer


def messages_of(request: Request) -> MessageQuerySet:
    """Return the messages of the key's organisation, and no others."""
    return OutboundMessage.objects.of(key_of(request).org).select_related(
        "phone_number__account__app", "phone_number__org", "contact"
    )


class MessageList(generics.ListAPIView[OutboundMessage]):
    """All messages of the organisation, and the door for new ones."""

    queryset = OutboundMessage.objects.none()  # for the schema; get_queryset decides
    serializer_class = MessageSerializer
    pagination_class = NewestFirst
    filterset_class = MessageFilter

    def get_permissions(self) -> list[Any]:
        """Reading and sending are different scopes."""
        return [CanSend() if self.request.method == "POST" else CanRead()]

    def get_queryset(self) -> MessageQuerySet:
        """Return the organisation's messages."""
        return messages_of(self.request)

    @extend_schema(
        summary="Send a message",
        request=schema.MESSAGE_BODY,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="Repeating a request with the same key never sends twice.",
            )
        ],
        responses=schema.with_problems(
            {201: AcceptedSerializer, 200: AcceptedSerializer}, 400, 401, 403, 413, 415, 422, 503
        ),
    )
    def post(self, request: Request) -> HttpResponse:
        """Queue one message; 200 with Idempotent-Replayed when the key was used before."""
        found = shortcut.outcome(request.META)
        if found is None:
            found = _send(key_of(request), raw_json(request), request.META)
        return found.as_response()


def receive(body: bytes, environ: Mapping[str, Any], _argument: None) -> Answer:
    """Queue the one message in the body; raise Problem when it, or the key, is refused."""
    key = key_in(environ)
    require(key, CanSend.scope)
    require_json(environ.get("CONTENT_TYPE", ""))
    answer = _send(key, body, environ)
    return replace(answer, headers=[*answer.headers, *_usual_headers()])


@cache
def _usual_headers() -> list[tuple[str, str]]:
    """Return the headers that the framework gives to every answer of the view."""
    view = MessageList()
    view.setup(HttpRequest())
    return list(view.default_response_headers.items())


def _send(key: ApiKey, body: bytes, environ: Mapping[str, Any]) -> Answer:
    wanted = bodies.parse(body, environ.get("HTTP_IDEMPOTENCY_KEY"))
    (answer,) = intake.accept(key.org, [wanted], name_of(key))
    if isinstance(answer, Problem):
        raise answer
    shown = rendering.accepted(answer)
    if answer.replayed:
        return rendering.json_answer(shown, headers=[("Idempotent-Replayed", "true")])
    return rendering.json_answer(shown, status=201)


class MessageDetail(generics.RetrieveAPIView[OutboundMessage]):
    """One message with its attempts and timeline."""

    queryset = OutboundMessage.objects.none()  # for the schema; get_queryset decides
    serializer_class = MessageDetailSerializer
    permission_classes = [CanRead]

    def get_queryset(self) -> MessageQuerySet:
        """Return the organisation's messages with what belongs to them."""
        in_order = Prefetch("attempts", OutboundAttempt.objects.order_by("attempt_number"))
        return messages_of(self.request).prefetch_related(in_order, "events")


class MessageAction(APIView):
    """Something a client does to one message, with a reason."""

    permission_classes = [CanSend]
    verb = staticmethod(operations.cancel)
    refusal = ""

    def act(self, request: Request, pk: uuid.UUID) -> Response:
        """Do it; 409 when the status does not allow it."""
        message = get_object_or_404(messages_of(request), pk=pk)
        reason = ReasonSerializer(data=request.data)
        reason.is_valid(raise_exception=True)
        text = reason_of(reason.validated_data)
        done = self.verb([message.pk], Instruction(actor_of(request), Cause.CLIENT, text))
        message = get_object_or_404(messages_of(request), pk=pk)
        if not done:
            detail = f"{self.refusal} This one is {message.status}."
            raise Problem(409, "wrong_status", "Not possible in this status", detail)
        return Response(MessageSerializer(message).data)


class CancelMessage(MessageAction):
    """Withdraw a message that has not been claimed yet."""

    refusal = "Only a queued message can be cancelled."

    @extend_schema(
        summary="Cancel a message",
        request=ReasonSerializer,
        responses=schema.with_problems({200: MessageSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Cancel it; 409 when it is on its way or has ended."""
        return self.act(request, pk)


class RetryMessage(MessageAction):
    """Requeue a failed message."""

    verb = staticmethod(operations.requeue)
    refusal = "Only a failed message can be retried."

    @extend_schema(
        summary="Retry a failed message",
        request=ReasonSerializer,
        responses=schema.with_problems({200: MessageSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Requeue it with fresh attempts; 409 when it has not failed."""
        return self.act(request, pk)


class DiscardMessage(MessageAction):
    """Take a failed message out of the dead letter queue."""

    verb = staticmethod(operations.discard)
    refusal = "Only a failed message can be discarded."

    @extend_schema(
        summary="Discard a failed message",
        request=ReasonSerializer,
        responses=schema.with_problems({200: MessageSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Cancel it, which can be undone for a day; 409 when it has not failed."""
        return self.act(request, pk)


class RestoreMessage(MessageAction):
    """Undo the discard of a message."""

    verb = staticmethod(operations.restore)
    refusal = "Only a message that was discarded within the last day can be restored."

    @extend_schema(
        summary="Undo the discard of a message",
        request=ReasonSerializer,
        responses=schema.with_problems({200: MessageSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Bring it back as the failure it was; 409 when that is not possible any more."""
        return self.act(request, pk)
