"""Every error of the REST API in one shape: RFC 9457 problem details with a stable code."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from orgs.problems import Problem, field_problems

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# How long a client should wait when the database is away, seconds.
RETRY_AFTER_SECONDS = 5

_TITLES = {
    400: "Bad request",
    401: "Authentication required",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    413: "Request body too large",
    415: "Unsupported media type",
    429: "Too many requests",
}

_KNOWN: tuple[tuple[tuple[type[Exception], ...], tuple[int, str, str, str]], ...] = (
    (
        (OperationalError, InterfaceError),
        (503, "unavailable", "Service unavailable", "The database is away; try again shortly."),
    ),
    ((Http404,), (404, "not_found", _TITLES[404], "No such object in this organisation.")),
    ((PermissionDenied,), (403, "permission_denied", _TITLES[403], "")),
    ((RequestDataTooBig,), (413, "body_too_large", _TITLES[413], "")),
)


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn an exception from a view into problem details; None lets Django answer 500."""
    problem = _problem(error)
    if problem is None:
        return None
    headers = dict(getattr(error, "headers", None) or {})
    authenticate = getattr(error, "auth_header", None) or headers.get("WWW-Authenticate")
    if problem.status == 401:
        headers["WWW-Authenticate"] = authenticate or "Bearer"
    if problem.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(
        problem.as_dict(), status=problem.status, headers=headers, content_type=MEDIA_TYPE
    )


def _problem(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Problem(
            400,
            "invalid",
            "Invalid request",
            "Some fields are not valid; see errors.",
            field_problems(error.get_full_details()),
        )
    if isinstance(error, exceptions.APIException):
        return _from_rest_framework(error)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("Database unavailable (%s)", type(error).__name__)
    for kinds, problem in _KNOWN:
        if isinstance(error, kinds):
            return Problem(*problem)
    return None


def _from_rest_framework(error: exceptions.APIException) -> Problem:
    code = error.get_codes()
    stable = {"parse_error": "malformed_json", "not_authenticated": "authentication_required"}
    word = code if isinstance(code, str) else "error"
    detail = str(error.detail) if not isinstance(error.detail, list | dict) else ""
    title = _TITLES.get(error.status_code, "Error")
    return Problem(error.status_code, stable.get(word, word), title, detail)
