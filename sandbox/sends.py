"""POST /{phone_number_id}/messages: check, choose the behaviour, answer, plan the statuses."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson

from sandbox import statuses, templates, validation
from sandbox.behaviours import OK, Behaviour
from sandbox.errors import ErrorAnswer
from sandbox.http_server import Connection, Request
from sandbox.statuses import Send
from sandbox.world import World, new_wamid

HTML = b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>"


def post_message(
    world: World, phone_number_id: str, request: Request, connection: Connection
) -> None:
    """Take one send."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        refuse(world, connection, ErrorAnswer(100, details="The body is not valid JSON."))
        return
    if isinstance(body, dict) and body.get("status") == "read":
        connection.answer(200, b'{"success":true}')
        return
    problem = validation.check(body)
    if problem is None and body["type"] == "template":
        problem = templates.check_send(world.templates, body["template"])
    if problem is not None:
        refuse(world, connection, problem)
        return
    recipient = _recipient(body)
    behaviour = world.chooser.choose(recipient, phone_number_id, _message_key(body, recipient))
    problem = behaviour.error or _over_limit(world, phone_number_id, recipient)
    if problem is not None:
        refuse(world, connection, problem)
    elif behaviour.is_accepted:
        _accept(world, phone_number_id, body, behaviour, connection)
    else:
        _turn_away(world, behaviour, connection)


def refuse(world: World, connection: Connection, error: ErrorAnswer) -> None:
    """Answer with Meta's error, after the usual latency."""
    world.refused[str(error.code)] += 1
    content = orjson.dumps(error.body())
    _later(
        world.config.latency_ms / 1000,
        lambda: connection.answer(error.status, content, headers=error.headers),
    )


def _accept(
    world: World,
    phone_number_id: str,
    body: dict[str, Any],
    behaviour: Behaviour,
    connection: Connection,
) -> None:
    send = _send(world, phone_number_id, body)
    if behaviour == OK and _window_closed(world, send, body["type"]):
        behaviour = Behaviour(statuses=("failed",), failure=131047)
    world.accepted += 1
    world.ledger.add(
        {
            "phone_number_id": phone_number_id,
            "to": body.get("to") or body.get("recipient"),
            "type": body["type"],
            "wamid": send.wamid,
            "biz_opaque_callback_data": send.callback_data,
            "at": time.time(),
            "request": body,
            "outcome": behaviour.answer,
        }
    )
    latency = world.config.latency_ms / 1000
    if behaviour.early:
        # The last status is out before the answer.
        latency += statuses.EARLY_SECONDS * len(behaviour.statuses) + 0.2
    _plan_statuses(world, send, behaviour, latency)
    content = orjson.dumps(_answer(send, body, behaviour))
    match behaviour.answer:
        case "slow":
            _later(world.config.slow_seconds, lambda: connection.answer(200, content))
        case "drop":
            _later(latency, connection.drop)
        case "empty":
            _later(latency, lambda: connection.answer(200, b""))
        case "html":
            _later(latency, lambda: connection.answer(200, HTML, content_type="text/html"))
        case _:
            _later(latency, lambda: connection.answer(200, content))


def _turn_away(world: World, behaviour: Behaviour, connection: Connection) -> None:
    """Fail without having taken the message."""
    world.refused[behaviour.answer] += 1
    latency = world.config.latency_ms / 1000
    if behaviour.answer == "close":
        _later(latency, connection.drop)
    else:
        _later(
            latency,
            lambda: connection.answer(502, b"Bad Gateway", content_type="text/plain"),
        )


def _plan_statuses(world: World, send: Send, behaviour: Behaviour, latency: float) -> None:
    if not world.config.statuses:
        return
    delays = world.config.delays()
    if not behaviour.early:
        delays = [latency + delay for delay in delays]
    if behaviour.one_post:
        changes = [statuses.status(send, word, behaviour) for word in behaviour.statuses]
        _later(delays[-1], lambda: world.post(changes))
        return
    statuses.schedule(send, behaviour, delays, world.post_change)


def _send(world: World, phone_number_id: str, body: dict[str, Any]) -> Send:
    template = body.get("template") or {}
    category = next(
        (t["category"].lower() for t in world.templates if t["name"] == template.get("name")),
        "service",
    )
    return Send(
        wamid=new_wamid(),
        phone_number_id=phone_number_id,
        recipient=_recipient(body),
        is_bsuid=not body.get("to"),
        callback_data=body.get("biz_opaque_callback_data"),
        category=category,
    )


def _answer(send: Send, body: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    if send.is_bsuid:
        contact = {"input": send.recipient, "user_id": send.recipient}
    else:
        wa_id = f"{send.recipient}9" if behaviour.other_wa_id else send.recipient
        contact = {"input": body["to"], "wa_id": wa_id}
    message = {"id": send.wamid}
    if body["type"] == "template":
        message["message_status"] = "accepted"
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}


def _recipient(body: dict[str, Any]) -> str:
    """Return the digits of the phone number, or the BSUID."""
    to = body.get("to")
    if to:
        return "".join(letter for letter in str(to) if letter.isdigit())
    return str(body.get("recipient"))


def _message_key(body: dict[str, Any], recipient: str) -> str:
    """Return what "first call" counts by: the message in our client's data, else the recipient."""
    try:
        data = orjson.loads(body.get("biz_opaque_callback_data") or "")
    except orjson.JSONDecodeError:
        return recipient
    if isinstance(data, dict) and data.get("m"):
        return str(data["m"])
    return recipient


def _over_limit(world: World, phone_number_id: str, recipient: str) -> ErrorAnswer | None:
    now = time.monotonic()
    rate = world.config.rate
    if rate and not world.throughput.allows(phone_number_id, rate, now):
        return ErrorAnswer(130429)
    if world.config.pair_limit and not world.pairs.allows(phone_number_id, recipient, now):
        return ErrorAnswer(131056)
    return None


def _window_closed(world: World, send: Send, kind: str) -> bool:
    if not world.config.enforce_window or kind == "template":
        return False
    return not world.window_is_open(send.phone_number_id, send.recipient)


def _later(seconds: float, action: Any) -> None:
    if seconds <= 0:
        action()
    else:
        asyncio.get_running_loop().call_later(seconds, action)
