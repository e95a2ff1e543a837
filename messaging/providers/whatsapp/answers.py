"""From an HTTP answer of the Graph API to a result; whatever comes back, nothing is raised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from messaging.providers.base import ErrorRule, Outcome, Result, Scope
from messaging.providers.whatsapp.errors import ErrorTable
from messaging.providers.whatsapp.redaction import redact

LONGEST_TEXT = 500
LONGEST_EXCERPT = 2048
LONGEST_ID = 255
# Nobody is waited for longer than a day.
LONGEST_WAIT = 86_400.0
# Meta counts the calls of an app over a rolling time of this length.
USAGE_SECONDS = 3600.0
_COUNTED_BY_CALLS = frozenset({Scope.ACCOUNT, Scope.APP})
_NO_CODE = "HTTP_429"
# What the usage header calls the calls that a code is about.
_USAGE_OF = {"80007": "whatsapp", "80008": "whatsapp_business_management"}


def classify(
    key: str,
    http_status: int,
    headers: Mapping[str, str],
    body: bytes,
    table: ErrorTable,
    *,
    truncated: bool = False,
) -> Result:
    """Return what the answer means for the message; an unreadable one keeps a redacted excerpt.

    The names of the headers are in lower case.
    """
    content = None if truncated else _object(body)
    error = content.get("error") if content else None
    if isinstance(error, dict) and _code(error) is not None:
        return _refused(key, http_status, headers, error, table)
    if 200 <= http_status < 300:
        return _success(key, http_status, headers, content, body)
    return _without_code(key, http_status, headers, body)


def _success(
    key: str,
    http_status: int,
    headers: Mapping[str, str],
    content: dict[str, Any] | None,
    body: bytes,
) -> Result:
    wamid = _message_id(content)
    if wamid:
        return Result(
            key,
            Outcome.ACCEPTED,
            provider_message_id=wamid,
            http_status=http_status,
            trace_id=_trace(headers, {}),
        )
    # It was accepted or not: only a status can tell.
    return Result(
        key,
        Outcome.UNKNOWN,
        error_code="UNREADABLE",
        error_message="The answer could not be read.",
        http_status=http_status,
        trace_id=_trace(headers, {}),
        excerpt=_excerpt(body),
    )


def _refused(
    key: str,
    http_status: int,
    headers: Mapping[str, str],
    error: dict[str, Any],
    table: ErrorTable,
) -> Result:
    code = _code(error)
    details = _details(error)
    transient = error.get("is_transient")
    rule = table.resolve(
        str(code),
        subcode=_integer(error.get("error_subcode")),
        details=details,
        is_transient=transient if isinstance(transient, bool) else None,
        http_status=http_status,
    )
    text = str(error.get("message") or rule.title)
    if details and details not in text:
        text = f"{text} ({details})"
    return Result(
        key,
        rule.outcome,
        error_code=str(code)[:32],
        error_message=redact(text, LONGEST_TEXT),
        rule=rule,
        retry_after_seconds=_asked_wait(headers, rule),
        http_status=http_status,
        trace_id=_trace(headers, error),
    )


def _without_code(key: str, http_status: int, headers: Mapping[str, str], body: bytes) -> Result:
    """An error of something between Meta and us, or of Meta without its usual body."""
    rule = None
    if http_status == 429:
        outcome = Outcome.THROTTLED
        rule = ErrorRule(_NO_CODE, outcome, Scope.NUMBER, "Too many calls", "It waits by itself.")
    elif http_status >= 500:
        outcome = Outcome.UNKNOWN  # a proxy may have lost the answer of a call that arrived
    else:
        outcome = Outcome.REJECTED
    return Result(
        key,
        outcome,
        error_code=f"HTTP_{http_status}",
        error_message=f"HTTP status {http_status} without an explanation.",
        rule=rule,
        retry_after_seconds=_asked_wait(headers, rule),
        http_status=http_status,
        trace_id=_trace(headers, {}),
        excerpt=_excerpt(body),
    )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _message_id(content: dict[str, Any] | None) -> str:
    messages = content.get("messages") if content else None
    first = messages[0] if isinstance(messages, list) and messages else None
    wamid = first.get("id") if isinstance(first, dict) else None
    if isinstance(wamid, str) and len(wamid) <= LONGEST_ID:
        return wamid.replace("\x00", "")
    return ""


def _code(error: dict[str, Any]) -> int | None:
    return _integer(error.get("code"))


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    return value if isinstance(value, int) and abs(value) < 10**12 else None


def _details(error: dict[str, Any]) -> str:
    """Return error_data.details; the field may be missing, or a text itself."""
    data = error.get("error_data")
    if isinstance(data, dict):
        data = data.get("details")
    return data if isinstance(data, str) else ""


def _trace(headers: Mapping[str, str], error: dict[str, Any]) -> str:
    trace = error.get("fbtrace_id") or headers.get("x-fb-trace-id") or ""
    return str(trace).replace("\x00", "")[:64]


def _excerpt(body: bytes) -> str:
    return redact(body[: LONGEST_EXCERPT * 2].decode("utf-8", "replace"), LONGEST_EXCERPT)


def _asked_wait(headers: Mapping[str, str], rule: ErrorRule | None) -> float | None:
    """Return how long Meta asks us to wait, in seconds, from the headers it may use.

    The usage headers count calls of an account or an app: they say nothing of how fast one
    number may send, nor of one person.
    """
    waits = [_retry_after(headers.get("retry-after", ""))]
    if rule is None or rule.scope in _COUNTED_BY_CALLS or rule.code == _NO_CODE:
        waits.append(_regain_access(headers, _USAGE_OF.get(rule.code, "") if rule else ""))
    if rule is not None and rule.scope == Scope.APP:
        waits.append(_until_allowed(headers, rule.wait_seconds or 0))
    named = [wait for wait in waits if wait is not None]
    return min(max(named), LONGEST_WAIT) if named else None


def _retry_after(value: str) -> float | None:
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 12:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())  # noqa: TID251 - HTTP names wall time


def _regain_access(headers: Mapping[str, str], kind: str) -> float | None:
    """Return the largest estimated_time_to_regain_access of the usage header, in seconds.

    Sending and management are counted apart: entries of this kind go before all others.
    """
    try:
        usage = orjson.loads(headers.get("x-business-use-case-usage", "{}"))
    except orjson.JSONDecodeError:
        return None
    found = [
        entry
        for entries in (usage.values() if isinstance(usage, dict) else [])
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict)
    ]
    meant = [entry for entry in found if entry.get("type") == kind] or found
    minutes = [entry.get("estimated_time_to_regain_access") for entry in meant]
    known = [number for value in minutes if (number := _integer(value))]
    return max(known) * 60.0 if known else None


def _until_allowed(headers: Mapping[str, str], at_least: float) -> float | None:
    """Return after how long the app is back within its allowance, by x-app-usage, in seconds.

    Its values are per cent of the allowance, used over a rolling hour; taken as used evenly. An
    estimate within ``at_least``, which is waited anyway, says nothing.
    """
    try:
        usage = orjson.loads(headers.get("x-app-usage", "{}"))
    except orjson.JSONDecodeError:
        return None
    shares = [_integer(value) for value in usage.values()] if isinstance(usage, dict) else []
    most = max((share for share in shares if share is not None), default=0)
    wait = USAGE_SECONDS * (1 - 100 / most) if most > 100 else 0.0
    return wait if wait > at_least else None
