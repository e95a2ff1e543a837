"""The body of a new message: what a client may say, checked for form."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

from consent.contacts import Recipient
from consent.phones import to_e164
from messaging.intake import MessageRequest
from messaging.models import OutboundMessage
from messaging.providers.whatsapp import content
from messaging.providers.whatsapp.content_rules import ContentError
from orgs.problems import FieldProblem, Problem

LONGEST_KEY = 255
LONGEST_METADATA_BYTES = 4096

PRIORITIES = {choice.label: choice.value for choice in OutboundMessage.Priority}

Instant = Annotated[datetime, Meta(tz=True)]
Key = Annotated[str, Meta(max_length=LONGEST_KEY)]


class ReplyTo(Struct, forbid_unknown_fields=True):
    """The message to quote."""

    message_id: Annotated[str, Meta(min_length=1, max_length=255)]


class MessageBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A message to send. Exactly one content object, named as its ``type``, must be given."""

    type: Annotated[str, Meta(description="Kind of message; its content goes under this name.")]
    to: Annotated[str, Meta(max_length=32, description="Phone number in E.164, with +.")] = ""
    to_bsuid: Annotated[
        str, Meta(max_length=140, description="Business-scoped user id, instead of `to`.")
    ] = ""
    from_: Annotated[
        str,
        Meta(
            max_length=32,
            description="`phone_number_id` to send from; may be left out when there is only one.",
        ),
    ] = msgspec.field(name="from", default="")
    channel: Literal["WHATSAPP"] = "WHATSAPP"
    category: Annotated[
        Literal["marketing", "utility", "authentication", "service"] | None,
        Meta(description="Needed for templates; decides which consent is asked."),
    ] = None
    priority: Literal["high", "normal", "bulk"] = "normal"
    context: ReplyTo | None = None
    expires_at: Annotated[
        Instant | None, Meta(description="Not sent after this time; by default 7 days from now.")
    ] = None
    idempotency_key: Key | None = None
    reference: Annotated[str, Meta(max_length=255, description="Yours, to search by.")] = ""
    metadata: Annotated[dict[str, Any], Meta(description="Yours, given back, 4 KB at most.")] = {}
    template: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    video: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    document: dict[str, Any] | None = None
    sticker: dict[str, Any] | None = None
    location: dict[str, Any] | None = None
    contacts: list[dict[str, Any]] | None = None
    interactive: dict[str, Any] | None = None
    reaction: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(MessageBody)


def parse(raw: bytes, header_key: str | None) -> MessageRequest:
    """Return the request in the bytes; raise Problem naming every field that is wrong."""
    body = _decode(raw)
    recipient = _recipient(body)
    payload = _content(body)
    return MessageRequest(
        recipient=recipient,
        kind=body.type,
        content=payload,
        category=_category(body),
        fingerprint=_fingerprint(body),
        sender=body.from_,
        priority=PRIORITIES[body.priority],
        channel=body.channel,
        reply_to=body.context.message_id if body.context else "",
        expires_at=body.expires_at.astimezone(UTC) if body.expires_at else None,
        idempotency_key=_key(body, header_key),
        reference=body.reference,
        metadata=_metadata(body),
    )


def invalid(field: str, code: str, detail: str, *, status: int = 422) -> Problem:
    """Return the problem of one wrong field."""
    return Problem(
        status, "invalid", "Invalid request", detail, [FieldProblem(field, code, detail)]
    )


def _decode(raw: bytes) -> MessageBody:
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or _named(detail) or "body"
        raise invalid(field, "invalid", f"{detail}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(
            400, "malformed_json", "Malformed JSON", "The body is not a JSON object."
        ) from None


def _named(detail: str) -> str:
    """Return the field a msgspec text names between backticks, if it does."""
    parts = detail.split("`")
    is_field = "field" in parts[0] and len(parts) > 2
    return parts[1] if is_field else ""


def _recipient(body: MessageBody) -> Recipient:
    if bool(body.to) == bool(body.to_bsuid):
        raise invalid("to", "required", "Give either to (a phone number) or to_bsuid, not both.")
    if body.to_bsuid:
        if not content.is_bsuid(body.to_bsuid):
            raise invalid("to_bsuid", "invalid", "A BSUID looks like US.13491208655302741918.")
        return Recipient(phone=None, bsuid=body.to_bsuid)
    try:
        return Recipient(phone=to_e164(body.to), bsuid=None)
    except ValueError as error:
        raise invalid("to", "invalid_phone", str(error)) from None


def _content(body: MessageBody) -> Any:
    if body.type not in content.KINDS:
        raise invalid("type", "unknown_type", f"Use one of: {', '.join(content.KINDS)}.")
    given = [kind for kind in content.KINDS if getattr(body, kind) is not None]
    for kind in given:
        if kind != body.type:
            raise invalid(kind, "unexpected", f"Leave it out when type is {body.type}.")
    if not given:
        raise invalid(body.type, "required", f"Give its content when type is {body.type}.")
    try:
        return content.parse(body.type, getattr(body, body.type))
    except ContentError as error:
        raise invalid(error.field, error.code, error.detail) from None


def _category(body: MessageBody) -> str:
    if body.type != content.TEMPLATE:
        return body.category or OutboundMessage.Category.SERVICE.value
    if body.category is None:
        raise invalid(
            "category",
            "required",
            "Say the template's category (marketing, utility or authentication): "
            "it decides which consent is asked.",
        )
    return body.category


def _key(body: MessageBody, header_key: str | None) -> str | None:
    key = header_key if header_key is not None else body.idempotency_key
    if body.idempotency_key is not None and body.idempotency_key != key:
        raise invalid("idempotency_key", "conflict", "It differs from the Idempotency-Key header.")
    if key is not None and (not key.strip() or len(key) > LONGEST_KEY):
        raise invalid("Idempotency-Key", "invalid", f"Use 1 to {LONGEST_KEY} characters.")
    return key


def _metadata(body: MessageBody) -> dict[str, Any]:
    if len(orjson.dumps(body.metadata)) > LONGEST_METADATA_BYTES:
        raise invalid("metadata", "too_long", f"At most {LONGEST_METADATA_BYTES} bytes as JSON.")
    return body.metadata


def _fingerprint(body: MessageBody) -> str:
    """Return a digest of what is asked for; the key itself and the order of names play no part."""
    asked = msgspec.to_builtins(body)
    asked.pop("idempotency_key", None)
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
