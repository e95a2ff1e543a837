"""The status webhooks of a send: what is said, when, and how it is bundled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.behaviours import Behaviour
from sandbox.errors import webhook_error

WABA_ID = "100000000000001"
DISPLAY_NUMBER = "15550100100"
# How long statuses wait for others when several go into one POST.
GATHER_SECONDS = 0.05
# How far apart statuses lie that come before the answer.
EARLY_SECONDS = 0.02

Post = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Send:
    """An accepted send."""

    wamid: str
    phone_number_id: str
    recipient: str  # digits, or a BSUID
    is_bsuid: bool
    callback_data: str | None
    category: str


def schedule(send: Send, behaviour: Behaviour, delays: Sequence[float], post: Post) -> None:
    """Plan the statuses of a send; ``post`` takes each as it falls due."""
    loop = asyncio.get_running_loop()
    words = behaviour.statuses
    if not words:
        return
    for place, word in enumerate(words):
        wait = EARLY_SECONDS * place if behaviour.early else _wait(place, delays)
        for _ in range(2 if behaviour.duplicate else 1):
            loop.call_later(wait, _post_status, post, send, word, behaviour)


def _post_status(post: Post, send: Send, word: str, behaviour: Behaviour) -> None:
    post(status(send, word, behaviour))


def _wait(place: int, delays: Sequence[float]) -> float:
    """Return the delay of the n-th status; beyond the last they come at its distance."""
    return delays[place] if place < len(delays) else delays[-1] * (place - len(delays) + 2)


def status(send: Send, word: str, behaviour: Behaviour) -> dict[str, Any]:
    """Return the change that carries one status."""
    item: dict[str, Any] = {
        "id": send.wamid,
        "status": word,
        "timestamp": str(int(time.time())),
        "recipient_user_id": _user_id(send.recipient),
    }
    if not (send.is_bsuid or behaviour.bsuid_only):
        item["recipient_id"] = send.recipient
    if send.callback_data is not None:
        item["biz_opaque_callback_data"] = send.callback_data
    if word == "failed":
        item["errors"] = [webhook_error(behaviour.failure or 131000)]
    if word == "sent":
        item["pricing"] = {
            "billable": True,
            "pricing_model": "PMP",
            "type": "regular",
            "category": send.category,
        }
    value: dict[str, Any] = {"statuses": [item]}
    if word != "failed":
        value["contacts"] = [_contact(send, behaviour)]
    return change(send.phone_number_id, value)


def change(phone_number_id: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change of the field ``messages``."""
    return {
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": DISPLAY_NUMBER,
                "phone_number_id": phone_number_id,
            },
            **value,
        },
        "field": "messages",
    }


def envelope(changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the payload of one POST."""
    entry: dict[str, Any] = {"id": WABA_ID, "changes": list(changes)}
    if any(change.get("field") != "messages" for change in changes):
        # News of templates, numbers and accounts have their time here; statuses have their own.
        entry["time"] = int(time.time())
    return {"object": "whatsapp_business_account", "entry": [entry]}


def inbound(phone_number_id: str, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that carries a message of a person; ``sender`` is digits."""
    contact = {
        "profile": {"name": "Test Persón"},
        "wa_id": sender,
        "user_id": _user_id(sender),
    }
    item = {
        "from": sender,
        "from_user_id": _user_id(sender),
        "timestamp": str(int(time.time())),
        **message,
    }
    return change(phone_number_id, {"contacts": [contact], "messages": [item]})


def _contact(send: Send, behaviour: Behaviour) -> dict[str, Any]:
    contact = {"profile": {"name": "Test Persón"}, "user_id": _user_id(send.recipient)}
    if not (send.is_bsuid or behaviour.bsuid_only):
        contact["wa_id"] = send.recipient
    return contact


def _user_id(recipient: str) -> str:
    return recipient if recipient[:1].isalpha() else f"US.9{recipient}"
