"""The request of an attempt as it was put together, without what it says and to whom."""

from __future__ import annotations

from typing import Any

import orjson
from django.conf import settings

from consent.phones import mask
from messaging.models import OutboundMessage
from messaging.providers.base import Outgoing, Sender
from messaging.providers.whatsapp import callback, payloads

HIDDEN = "[hidden]"


def shown(message: OutboundMessage, attempt: int, *, whole: bool) -> str:
    """Return the request's body as indented JSON; ``whole`` with recipient and content.

    It is built again from the message, by the code that sends; the access token is no part.
    """
    outgoing = Outgoing(
        key=str(message.pk),
        sender=Sender(message.phone_number.phone_number_id, ""),
        to=message.to_recipient,
        to_is_bsuid=message.to_is_bsuid,
        kind=message.kind,
        payload=message.payload,
        reply_to=message.reply_to,
        callback_data=callback.encode(settings.OUTBOUND_INSTANCE, message.pk.hex, attempt),
        deadline=0.0,
    )
    try:
        body: dict[str, Any] = orjson.loads(payloads.build(outgoing))
    except payloads.PayloadError as error:
        return str(error)
    if not whole:
        body[message.kind] = _without_texts(body[message.kind])
        for name in {"to", "recipient"} & body.keys():
            body[name] = mask(body[name])
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()


# What says how a message is built, and nothing of what it says.
_PLAIN = frozenset({"type", "sub_type", "index", "format", "name", "language", "code", "policy"})


def _without_texts(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_texts(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_texts(each) for each in value]
    return value if name in _PLAIN else HIDDEN
