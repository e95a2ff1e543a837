"""What the OpenAPI document says beyond what it finds by itself."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from messaging.api.bodies import MessageBody, ReplyTo
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


MESSAGE_BODY = {"application/json": _message_body()}
