"""The few bytes Meta echoes in every status: which attempt of which message of whose."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

# Meta takes up to 512 characters; ours is about 80.
LONGEST = 512


@dataclass(frozen=True, slots=True)
class CallbackData:
    """What we wrote into biz_opaque_callback_data; holds no personal data."""

    instance: str
    message_id: str
    attempt: int


def encode(instance: str, message_id: str, attempt: int) -> str:
    """Return the compact text."""
    return orjson.dumps({"i": instance, "m": message_id, "a": attempt}).decode()


def decode(text: object) -> CallbackData | None:
    """Return what the text says; None for anything that is not ours. Never raises."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        return None
    try:
        data = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    match data:
        case {"i": str(instance), "m": str(message_id), "a": int(attempt)}:
            if isinstance(attempt, bool) or not 1 <= attempt <= 10**9:
                return None
            return CallbackData(instance, message_id, attempt)
    return None
