"""Reading Meta's webhooks: challenge, signature, and every event in a payload."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from messaging.providers.base import (
    ErrorRule,
    Event,
    Inbound,
    NumberError,
    Preference,
    Receipt,
    Unhandled,
)
from messaging.providers.whatsapp import notices
from messaging.providers.whatsapp.errors import ErrorTable
from messaging.providers.whatsapp.redaction import redact
from messaging.providers.whatsapp.values import e164, moment, text

_SCHEME = "sha256="
_LONGEST_CHALLENGE = 1000
_LONGEST_ID = 255
_LONGEST_TEXT = 500
# What stands in the place of an event about somebody who was erased.
ERASED = {"erased": True}
# The parts of a price, in this order.
PRICING = ("pricing_model", "type", "category")


class WebhookError(Exception):
    """The body is not a webhook of the Cloud API at all; the text repeats nothing of it."""


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Say whether one of the secrets signed exactly these bytes (X-Hub-Signature-256).

    Every secret is tried in full, so that the time tells nothing. Never raises.
    """
    if not header or not header.startswith(_SCHEME):
        return False
    given = header.encode("utf-8", "replace")
    matches = False
    for secret in secrets:
        if secret:
            matches |= hmac.compare_digest(sign(body, secret).encode(), given)
    return matches


def sign(body: bytes, secret: str) -> str:
    """Return the header with which Meta, knowing the secret, would send these bytes."""
    return _SCHEME + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def challenge(params: Mapping[str, str], verify_token: str) -> str | None:
    """Return what Meta wants to hear at set-up; None when mode or token is not right."""
    given = params.get("hub.verify_token", "")
    answer = params.get("hub.challenge", "")
    if params.get("hub.mode") != "subscribe" or not verify_token or not answer:
        return None
    if not hmac.compare_digest(given.encode(), verify_token.encode()):
        return None
    return answer if len(answer) <= _LONGEST_CHALLENGE else None


def parse(body: bytes, table: ErrorTable) -> list[Event]:
    """Return every event of the payload, in its order; the size of the body bounds how many.

    An event that cannot be read becomes an Unhandled with an error and disturbs no other.
    Raises WebhookError when the body as a whole is not a webhook.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = "The body is not JSON."
        raise WebhookError(message) from None
    if not isinstance(content, dict) or not isinstance(content.get("entry"), list):
        message = "The body is not a webhook of the Cloud API."
        raise WebhookError(message)
    return list(events(content["entry"], table))


def events(entries: list[Any], table: ErrorTable) -> Iterator[Event]:
    """Yield the events in their order; ``raw`` of each is the very part of the entries."""
    for entry in entries:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            yield Unhandled("entry", "", "", error="An entry without changes.", raw=entry)
            continue
        account_id = text(entry.get("id"))
        for change in changes:
            yield from _change(change, account_id, entry.get("time"), table)


def _change(change: Any, account_id: str, time: object, table: ErrorTable) -> Iterator[Event]:
    value = change.get("value") if isinstance(change, dict) else None
    if not isinstance(value, dict):
        yield Unhandled("change", "", account_id, error="A change without a value.", raw=change)
        return
    topic = text(change.get("field"))[:64]
    metadata = value.get("metadata")
    number = text(metadata.get("phone_number_id")) if isinstance(metadata, dict) else ""
    if topic in notices.TOPICS:
        read = partial(notices.read, topic, value, account_id, time)
        yield _guarded(read, topic, number, account_id, value)
        return
    if topic == "user_preferences" and _list(value, topic):
        people = _people(value)
        for item in _list(value, topic):
            yield _guarded(
                partial(_preference, item, number, account_id, people),
                topic,
                number,
                account_id,
                item,
            )
        return
    if topic != "messages":
        yield Unhandled(topic, number, account_id, raw=value)
        return
    people = _people(value)
    for item in _list(value, "statuses"):
        yield _guarded(
            partial(_receipt, item, number, account_id, table, people),
            "statuses",
            number,
            account_id,
            item,
        )
    for item in _list(value, "messages"):
        yield _guarded(
            partial(_inbound, item, number, account_id, people),
            "messages",
            number,
            account_id,
            item,
        )
    for item in _list(value, "errors"):
        yield _guarded(
            partial(_number_error, item, number, account_id, table),
            "errors",
            number,
            account_id,
            item,
        )


def _guarded(
    read: Callable[[], Event], topic: str, number: str, account_id: str, raw: Any
) -> Event:
    if raw == ERASED:
        return Unhandled(topic, number, account_id, raw=raw, is_erased=True)
    try:
        return read()
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return Unhandled(topic, number, account_id, error=type(error).__name__, raw=raw)


def _receipt(
    item: dict[str, Any], number: str, account_id: str, table: ErrorTable, people: Mapping[str, str]
) -> Receipt:
    digits, bsuid = _recipient(item, people)
    error = next((e for e in _list(item, "errors") if isinstance(e, dict)), {})
    code, message, rule = _error(error, table)
    return Receipt(
        provider_message_id=_id(item["id"]),
        status=text(item["status"])[:32],
        at=moment(item["timestamp"]),
        phone_number_id=number,
        account_id=account_id,
        callback_data=text(item.get("biz_opaque_callback_data")),
        pricing=_pricing(item.get("pricing")),
        error_code=code,
        error_message=message,
        rule=rule,
        bsuid=bsuid,
        phone=e164(digits) if bsuid else "",
        raw=item,
    )


def _recipient(item: Mapping[str, Any], people: Mapping[str, str]) -> tuple[str, str]:
    """Return number and BSUID of the person a status is about; nobody when it is a group."""
    if item.get("recipient_type") == "group":
        return "", ""
    digits = text(item.get("recipient_id"))
    return digits, (text(item.get("recipient_user_id")) or people.get(digits, ""))[:140]


def _error(error: Mapping[str, Any], table: ErrorTable) -> tuple[str, str, ErrorRule | None]:
    """Return code, redacted text and rule of an error; all empty when there is none."""
    code = text(error.get("code"))
    details = error.get("error_data")
    details = text(details.get("details")) if isinstance(details, dict) else ""
    message = text(error.get("message") or error.get("title"))
    if details and details != message:
        message = f"{message} ({details})" if message else details
    rule = table.resolve(code, details=details) if code else None
    return code[:32], redact(message, _LONGEST_TEXT), rule


def _number_error(
    item: dict[str, Any], number: str, account_id: str, table: ErrorTable
) -> NumberError:
    code, message, rule = _error(item, table)
    return NumberError(number, account_id, code, message, rule, raw=item)


def _pricing(told: object) -> str:
    if not isinstance(told, dict):
        return ""
    return "/".join(text(told.get(name))[:32] for name in PRICING)


def _inbound(
    item: dict[str, Any], number: str, account_id: str, people: Mapping[str, str]
) -> Inbound:
    digits = text(item.get("from")).lstrip("+")
    bsuid = text(item.get("from_user_id")) or people.get(digits, "")
    return Inbound(
        provider_message_id=_id(item["id"]),
        at=moment(item["timestamp"]),
        phone_number_id=number,
        account_id=account_id,
        phone=e164(digits),
        bsuid=bsuid[:140],
        kind=text(item.get("type"))[:32] or "unknown",
        raw=item,
    )


def _preference(
    item: dict[str, Any], number: str, account_id: str, people: Mapping[str, str]
) -> Preference:
    digits = text(item.get("wa_id"))
    bsuid = text(item.get("user_id")) or people.get(digits, "")
    return Preference(
        at=moment(item["timestamp"]),
        phone_number_id=number,
        account_id=account_id,
        phone=e164(digits),
        bsuid=bsuid[:140],
        value=text(item["value"]).lower()[:32],
        is_marketing=item.get("category") == "marketing_messages",
        raw=item,
    )


def _people(value: dict[str, Any]) -> dict[str, str]:
    """Return the BSUID of each wa_id that value.contacts names."""
    return {
        text(person.get("wa_id")): text(person.get("user_id"))
        for person in _list(value, "contacts")
        if isinstance(person, dict) and person.get("wa_id")
    }


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _id(value: object) -> str:
    found = text(value)
    if not 0 < len(found) <= _LONGEST_ID:
        message = "An id must have 1 to 255 characters."
        raise ValueError(message)
    return found
