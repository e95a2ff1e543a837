"""The routes of the Graph API."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from sandbox import sends, statuses
from sandbox.errors import ErrorAnswer
from sandbox.http_server import Connection, Request
from sandbox.world import World

KNOWN_NUMBER = "200000000000001"
LARGEST_PAGE = 250

_VERSION = re.compile(r"/v\d{1,2}\.\d/(.*)")

Route = Callable[[World, str, Request, Connection], None]


def handle(world: World, request: Request, connection: Connection) -> None:
    """Answer a call under /v{N}/."""
    world.requests += 1
    found = _VERSION.fullmatch(request.path)
    parts = found.group(1).strip("/").split("/") if found else []
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not token:
        sends.refuse(world, connection, ErrorAnswer(190, details="An access token is required."))
        return
    if token.startswith("expired"):
        sends.refuse(world, connection, ErrorAnswer(190, subcode=463))
        return
    route = _ROUTES.get((request.method, parts[1])) if len(parts) == 2 else None
    if route is None and len(parts) == 1 and request.method == "GET":
        route = _get_object
    if route is None or not parts[0].isdigit():
        details = "Object does not exist, or the method is not supported."
        sends.refuse(world, connection, ErrorAnswer(100, subcode=33, details=details))
        return
    route(world, parts[0], request, connection)


def _get_object(world: World, object_id: str, request: Request, connection: Connection) -> None:
    """A medium, a WABA, or any other number as a phone number."""
    if object_id in world.media:
        _reply(connection, world.media[object_id])
        return
    if object_id == statuses.WABA_ID:
        content: Mapping[str, Any] = {"id": object_id, "name": "Sandbox account", "currency": "EUR"}
    else:
        content = _phone_number(world, object_id)
    wanted = [name.partition("{")[0] for name in request.parameter("fields").split(",") if name]
    chosen = {name: content[name] for name in wanted if name in content} if wanted else content
    _reply(connection, {**chosen, "id": object_id})


def _phone_number(world: World, number: str) -> dict[str, Any]:
    return {
        "id": number,
        "display_phone_number": "+1 555-010-0100",
        "verified_name": "Sandbox Shop",
        "quality_rating": "GREEN",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "code_verification_status": "VERIFIED",
        "name_status": "APPROVED",
        "whatsapp_business_manager_messaging_limit": world.config.messaging_limit,
        "health_status": {
            "can_send_message": "AVAILABLE",
            "entities": [
                {"entity_type": "PHONE_NUMBER", "id": number, "can_send_message": "AVAILABLE"},
                {
                    "entity_type": "WABA",
                    "id": statuses.WABA_ID,
                    "can_send_message": "AVAILABLE",
                },
            ],
        },
    }


def _get_templates(world: World, _waba: str, request: Request, connection: Connection) -> None:
    rows = world.templates
    for name in ("name", "status", "language", "category"):
        wanted = request.parameter(name)
        if wanted:
            rows = [row for row in rows if row[name] == wanted]
    start = _cursor(request.parameter("after"))
    if start is None or start > len(rows):
        sends.refuse(world, connection, ErrorAnswer(131059))
        return
    limit = request.parameter("limit", "25")
    size = min(int(limit), LARGEST_PAGE) if limit.isdigit() and int(limit) else 25
    page = rows[start : start + size]
    content: dict[str, Any] = {"data": page}
    if page:
        end = start + len(page)
        content["paging"] = {"cursors": {"before": _as_cursor(start), "after": _as_cursor(end)}}
        if end < len(rows):
            content["paging"]["next"] = f"{request.path}?after={_as_cursor(end)}&limit={size}"
    _reply(connection, content)


def _as_cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"p{position}".encode()).decode().rstrip("=")


def _cursor(text: str) -> int | None:
    if not text:
        return 0
    try:
        word = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return None
    return int(word[1:]) if word[:1] == "p" and word[1:].isdigit() else None


def _get_numbers(world: World, _waba: str, _request: Request, connection: Connection) -> None:
    _reply(connection, {"data": [_phone_number(world, KNOWN_NUMBER)]})


def _post_media(world: World, number: str, request: Request, connection: Connection) -> None:
    """Take an upload; the bytes are counted, not kept."""
    media_type = request.headers.get("content-type", "")
    missing = [
        name
        for name in ("messaging_product", "file")
        if f'name="{name}"'.encode() not in request.body
    ]
    if not media_type.startswith("multipart/form-data") or missing:
        details = f"The parameter {missing[0] if missing else 'file'} is required."
        sends.refuse(world, connection, ErrorAnswer(100, details=details))
        return
    media_id = world.add_media({"messaging_product": "whatsapp", "file_size": len(request.body)})
    world.media[media_id] |= {
        "id": media_id,
        "mime_type": "application/octet-stream",
        "url": f"/media/{media_id}",
        "phone_number_id": number,
    }
    _reply(connection, {"id": media_id})


def _subscribe(_world: World, _waba: str, _request: Request, connection: Connection) -> None:
    _reply(connection, {"success": True})


_ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "messages"): sends.post_message,
    ("GET", "message_templates"): _get_templates,
    ("GET", "phone_numbers"): _get_numbers,
    ("POST", "media"): _post_media,
    ("POST", "subscribed_apps"): _subscribe,
}


def _reply(connection: Connection, content: Mapping[str, Any]) -> None:
    connection.answer(200, orjson.dumps(content))
