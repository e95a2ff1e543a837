"""What the OpenAPI document says beyond what it finds by itself."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from messaging.api.bodies import LARGEST_BATCH, MessageBody, ReplyTo
from messaging.api.serializers import AcceptedSerializer
from messaging.providers.whatsapp import content


class FieldProblemSerializer(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField(help_text="Dotted path of the field.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details; branch on `code`, which is stable."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = FieldProblemSerializer(many=True)  # type: ignore[assignment]  # the stubs know it as a property


class BatchResultSerializer(serializers.Serializer[Any]):
    """What became of one message of a batch: `message` or `problem`."""

    status = serializers.IntegerField(
        help_text="201 for a new message, 200 when its key was used before, otherwise as a "
        "single request would be answered."
    )
    message = AcceptedSerializer(required=False)
    problem = ProblemSerializer(required=False)


class BatchSerializer(serializers.Serializer[Any]):
    """A result for each message, in the order of the request."""

    results = BatchResultSerializer(many=True)


def with_problems(responses: dict[int, Any], *codes: int) -> dict[Any, Any]:
    """Return the responses with problem details for the given status codes."""
    problems: dict[Any, Any] = {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer) for code in codes
    }
    return {**responses, **problems}


def _message_body() -> dict[str, Any]:
    """Return the JSON schema of a new message with its content types written out in place."""
    schema = msgspec.json.schema(MessageBody)
    definitions: dict[str, Any] = schema["$defs"]
    root: dict[str, Any] = definitions[MessageBody.__name__]
    root["properties"]["context"] = definitions[ReplyTo.__name__]
    root["properties"] |= content.json_schemas()
    return root


def _batch_body() -> dict[str, Any]:
    items = {"type": "array", "minItems": 1, "maxItems": LARGEST_BATCH, "items": _message_body()}
    return {
        "title": "BatchBody",
        "type": "object",
        "properties": {"messages": items},
        "required": ["messages"],
        "additionalProperties": False,
    }


MESSAGE_BODY = {"application/json": _message_body()}
BATCH_BODY = {"application/json": _batch_body()}
