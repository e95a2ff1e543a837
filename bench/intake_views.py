"""Views for comparison: two that do nothing, and messages accepted in the usual way."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from consent.models import Consent, Contact, Decision
from consent.phones import to_e164
from messaging import wake
from messaging.api.serializers import MessageSerializer
from messaging.models import MessageEvent, OutboundMessage, PhoneNumber
from messaging.states import Cause, Status
from orgs.auth import KeyPrincipal
from orgs.models import ApiKey
from orgs.problems import Problem


class Nothing(APIView):
    """A view that does nothing: the floor of any view of the framework."""

    authentication_classes = []
    permission_classes = []

    def post(self, _request: Request) -> Response:
        """Answer."""
        return Response({"ok": True}, status=201)


def ok(request: HttpRequest) -> HttpResponse:
    """Take the body and answer 200: the floor of a webhook."""
    return HttpResponse(status=200 if request.body else 400)


class KeyOfEveryRequest(BaseAuthentication):
    """Reads the key's row and writes when it was used, each time."""

    def authenticate(self, request: Request) -> tuple[KeyPrincipal, ApiKey]:
        """Return the principal and its key."""
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        digest = hashlib.sha256(secret.encode()).hexdigest()
        key = ApiKey.objects.select_related("org").get(secret_hash=digest, revoked_at=None)
        key.last_used_at = timezone.now()
        key.save(update_fields=["last_used_at"])
        return KeyPrincipal(key), key


class UsualBody(serializers.Serializer[Any]):
    """The body of a message as a serializer."""

    to = serializers.CharField(max_length=32)
    type = serializers.ChoiceField(["template"])
    category = serializers.ChoiceField(OutboundMessage.Category.choices)
    priority = serializers.ChoiceField(["high", "normal", "bulk"], default="normal")
    template = serializers.JSONField()
    reference = serializers.CharField(max_length=255, default="", allow_blank=True)
    metadata = serializers.JSONField(default=dict)

    def validate_to(self, text: str) -> str:
        """Return the number in E.164."""
        try:
            return to_e164(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class Usual(APIView):
    """The usual way: serializer, a query for each question, get_or_create, one transaction."""

    authentication_classes = [KeyOfEveryRequest]

    @transaction.atomic
    def post(self, request: Request) -> Response:
        """Queue one message."""
        org = request.auth.org
        body = UsualBody(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        now = timezone.now()
        number = PhoneNumber.objects.of(org).filter(is_active=True).first()
        contact = Contact.objects.of(org).filter(phone=asked["to"]).first()
        valid = Q(expires_at=None) | Q(expires_at__gt=now)
        consents = Consent.objects.filter(valid, contact=contact, status=Decision.GRANTED)
        if not consents.filter(channel="WHATSAPP", purpose="transactional").exists():
            raise Problem(422, "consent_required", "Consent required")
        message, is_new = OutboundMessage.objects.get_or_create(
            org=org,
            idempotency_key=request.headers.get("Idempotency-Key"),
            defaults=_columns(asked, number, contact, now),
        )
        if is_new:
            MessageEvent.objects.create(
                message=message,
                org=org,
                at=now,
                recorded_at=now,
                kind="accepted",
                to_status=Status.QUEUED,
                cause=Cause.INTAKE,
                actor=f"key:{request.auth.prefix}",
            )
            wake.on_commit(wake.SEND)
        return Response(MessageSerializer(message).data, status=201 if is_new else 200)


def _columns(asked: Any, number: Any, contact: Any, now: Any) -> dict[str, Any]:
    return {
        "phone_number": number,
        "contact": contact,
        "to_recipient": asked["to"],
        "kind": asked["type"],
        "template_name": asked["template"]["name"],
        "template_language": asked["template"]["language"],
        "payload": asked["template"],
        "category": asked["category"],
        "purpose": "transactional",
        "reference": asked["reference"],
        "metadata": asked["metadata"],
        "due_at": now,
        "expires_at": now + timedelta(seconds=settings.OUTBOUND_MESSAGE_MAX_AGE_SECONDS),
        "max_attempts": 5,
        "request_fingerprint": hashlib.sha256(
            json.dumps(asked, sort_keys=True, default=str).encode()
        ).hexdigest(),
        "created_at": now,
        "updated_at": now,
    }


urlpatterns = [
    path("bench/nothing", Nothing.as_view()),
    path("bench/ok", csrf_exempt(ok)),
    path("bench/usual", Usual.as_view()),
    path("", include("config.urls")),
]
