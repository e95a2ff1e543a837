"""The body of a new message: what a client may say, checked for form."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import orjson
from django.conf import settings
from msgspec import Meta, Struct

from consent.contacts import Recipient
from consent.phones import to_e164
from messaging.intake import MessageRequest
from messaging.models import OutboundMessage
from messaging.providers.whatsapp import content
from messaging.providers.whatsapp.content_rules import ContentError
from orgs.problems import Problem, invalid

LONGEST_KEY = 255
LONGEST_METADATA_BYTES = 4096
LARGEST_BATCH = 1000

PRIORITIES = {choice.label: choice.value for choice in OutboundMessage.Priority}

Instant = Annotated[datetime, Meta(tz=True)]
Key = Annotated[str, Meta(max_length=LONGEST_KEY)]


class ReplyTo(Struct, forbid_unknown_fields=True):
    """The message to quote."""

    message_id: Annotated[str, Meta(min_length=1, max_length=255)]


class MessageBody(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
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
        Meta(
            description="Decides which consent is asked. For a template its own category counts, "
            "unless this one is stricter (marketing); needed when the template is not known yet."
        ),
    ] = None
    priority: Literal["high", "normal", "bulk"] = "normal"
    context: ReplyTo | None = None
    scheduled_at: Annotated[
        Instant | None,
        Meta(description="Not sent before this time; a time in the past means now."),
    ] = None
    expires_at: Annotated[
        Instant | None,
        Meta(description="Not sent after this time; by default 7 days after it may first go."),
    ] = None
    ttl_seconds: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Instead of `expires_at`: how long after acceptance, or after "
            "`scheduled_at`, it may still be sent.",
        ),
    ] = None
    on_unknown: Annotated[
        Literal["resend", "hold"] | None,
        Meta(
            description="What to do when the provider's answer was lost and no status tells: "
            "send again, or keep it in the dead letter queue. By default as the organisation "
            "has it."
        ),
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


class BatchBody(Struct, forbid_unknown_fields=True):
    """Messages to send, each read by itself so that a wrong one does not stop the others."""

    messages: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=LARGEST_BATCH)]


_AnyBody = TypeVar("_AnyBody", MessageBody, BatchBody)

_message_decoder = msgspec.json.Decoder(MessageBody)
_batch_decoder = msgspec.json.Decoder(BatchBody)
_canonical = msgspec.json.Encoder(order="sorted")
# U+0000 written as an escape, not as an escaped backslash before u0000.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse(raw: bytes, header_key: str | None = None) -> MessageRequest:
    """Return the request in the bytes; raise Problem naming every field that is wrong."""
    body = _decode(raw, _message_decoder)
    if _NUL.search(raw):
        raise invalid("body", "invalid", "The character U+0000 cannot be stored.")
    _check_times(body)
    key = _key(body, header_key)
    recipient = _recipient(body)
    payload = _content(body)
    return MessageRequest(
        recipient=recipient,
        kind=body.type,
        content=payload,
        category=_category(body),
        idempotency_key=key,
        fingerprint=_fingerprint(body),
        sender=body.from_,
        priority=PRIORITIES[body.priority],
        channel=body.channel,
        reply_to=body.context.message_id if body.context else "",
        scheduled_at=_utc(body.scheduled_at),
        expires_at=_utc(body.expires_at),
        ttl_seconds=body.ttl_seconds,
        on_unknown=body.on_unknown or "",
        reference=body.reference,
        metadata=_metadata(body),
    )


def parse_batch(raw: bytes) -> list[MessageRequest | Problem]:
    """Return each request in the bytes, or what is wrong with it, in order.

    Raises Problem when the list itself cannot be read.
    """
    return [_parse_item(item) for item in _decode(raw, _batch_decoder).messages]


def _parse_item(raw: msgspec.Raw) -> MessageRequest | Problem:
    try:
        return parse(bytes(raw))
    except Problem as problem:
        return problem


def _decode(raw: bytes, decoder: msgspec.json.Decoder[_AnyBody]) -> _AnyBody:
    try:
        return decoder.decode(raw)
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


def _check_times(body: MessageBody) -> None:
    """Raise Problem for what cannot be right at any time; the rest is up to the clock."""
    if body.ttl_seconds is not None:
        if body.expires_at is not None:
            raise invalid("ttl_seconds", "conflict", "Give either expires_at or ttl_seconds.")
        longest = settings.OUTBOUND_MESSAGE_MAX_AGE_SECONDS
        if body.ttl_seconds > longest:
            raise invalid("ttl_seconds", "too_long", f"At most {longest} seconds.")
    if body.scheduled_at and body.expires_at and body.scheduled_at >= body.expires_at:
        raise invalid("scheduled_at", "invalid", "It must lie before expires_at.")


def _utc(instant: datetime | None) -> datetime | None:
    return instant.astimezone(UTC) if instant else None


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
        parsed = content.parse(body.type, getattr(body, body.type))
    except ContentError as error:
        raise invalid(error.field, error.code, error.detail) from None
    _encoded(body.type, parsed)
    return parsed


def _category(body: MessageBody) -> str:
    if body.type != content.TEMPLATE:
        return body.category or OutboundMessage.Category.SERVICE.value
    return body.category or ""


def _key(body: MessageBody, header_key: str | None) -> str | None:
    key = header_key if header_key is not None else body.idempotency_key
    if body.idempotency_key is not None and body.idempotency_key != key:
        raise invalid("idempotency_key", "conflict", "It differs from the Idempotency-Key header.")
    if key is not None and (not key.strip() or len(key) > LONGEST_KEY):
        raise invalid("Idempotency-Key", "invalid", f"Use 1 to {LONGEST_KEY} characters.")
    return key


def _metadata(body: MessageBody) -> dict[str, Any]:
    if body.metadata and len(_encoded("metadata", body.metadata)) > LONGEST_METADATA_BYTES:
        raise invalid("metadata", "too_long", f"At most {LONGEST_METADATA_BYTES} bytes as JSON.")
    return body.metadata


def _encoded(field: str, value: Any) -> bytes:
    """Return it as JSON; raise Problem for a number that would not survive."""
    try:
        return orjson.dumps(value)
    except TypeError:
        raise invalid(field, "invalid", "A whole number may have 64 bits at most.") from None


def _fingerprint(body: MessageBody) -> str:
    """Return a digest of what is asked for; the key itself and the order of names play no part.

    What is left out counts as its default, so that a field added later changes nothing.
    """
    body.idempotency_key = None
    return hashlib.sha256(_canonical.encode(body)).hexdigest()
