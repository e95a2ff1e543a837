"""Create many messages with one request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from messaging import intake
from messaging.api import bodies, rendering, schema
from messaging.api.requests import actor_of, key_of, raw_json
from messaging.intake import Answer
from orgs.auth import CanSend
from orgs.problems import Problem, invalid


class MessageBatch(APIView):
    """The door for campaigns."""

    permission_classes = [CanSend]

    @extend_schema(
        summary="Send up to 1,000 messages",
        description=(
            "Each message is judged by itself: the answer has a result for each, in order. "
            "Give each its own `idempotency_key`, then the whole request may be repeated."
        ),
        request=schema.BATCH_BODY,
        responses=schema.with_problems(
            {200: schema.BatchSerializer}, 400, 401, 403, 413, 415, 422, 503
        ),
    )
    def post(self, request: Request) -> HttpResponse:
        """Queue what may be sent."""
        if "Idempotency-Key" in request.headers:
            detail = "Give each message of a batch an idempotency_key of its own."
            raise invalid("Idempotency-Key", "unexpected", detail)
        parsed = bodies.parse_batch(raw_json(request, settings.OUTBOUND_API_MAX_BATCH_BODY_BYTES))
        wanted = [item for item in parsed if not isinstance(item, Problem)]
        answers = iter(intake.accept(key_of(request).org, wanted, actor_of(request)))
        results = [_result(i if isinstance(i, Problem) else next(answers)) for i in parsed]
        return rendering.json_answer({"results": results}).as_response()


def _result(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Problem):
        return {"status": answer.status, "problem": answer.as_dict()}
    status = 200 if answer.replayed else 201
    return {"status": status, "message": rendering.accepted(answer)}
