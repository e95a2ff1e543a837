"""The request body of a send, exactly as Meta's Cloud API reference describes it."""

from __future__ import annotations

from typing import Any

import orjson

from messaging.providers.base import Outgoing
from messaging.providers.whatsapp import callback
from messaging.providers.whatsapp.content import KINDS

_REACTION = "reaction"


class PayloadError(Exception):
    """The message cannot be built; the text holds no personal data."""


def build(outgoing: Outgoing) -> bytes:
    """Return the JSON body."""
    if outgoing.kind not in KINDS:
        message = "This kind of message is not known."
        raise PayloadError(message)
    if not outgoing.to:
        message = "The message has no recipient."
        raise PayloadError(message)
    if len(outgoing.callback_data) > callback.LONGEST:
        message = f"The callback data is longer than {callback.LONGEST} characters."
        raise PayloadError(message)
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        ("recipient" if outgoing.to_is_bsuid else "to"): outgoing.to,
        "type": outgoing.kind,
        outgoing.kind: outgoing.payload,
        "biz_opaque_callback_data": outgoing.callback_data,
    }
    # A reaction names its target itself; Meta refuses a quote beside it.
    if outgoing.reply_to and outgoing.kind != _REACTION:
        body["context"] = {"message_id": outgoing.reply_to}
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        message = "The content is not JSON."
        raise PayloadError(message) from None
