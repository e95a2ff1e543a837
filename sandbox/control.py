"""The routes under /_sandbox/: ledger, rules, inbound messages, templates, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from sandbox import statuses, template_news, templates
from sandbox.behaviours import RuleError, rule_from
from sandbox.config import ConfigError
from sandbox.http_server import Connection, Request
from sandbox.world import World, new_wamid

PREFIX = "/_sandbox/"
_FIXED = frozenset({"host", "port", "ledger_size"})


class ControlError(Exception):
    """The call is wrong; the text says how."""


def handle(world: World, request: Request, connection: Connection) -> None:
    """Answer a control call; 400 with a text when it is wrong."""
    route = _ROUTES.get((request.method, request.path.removeprefix(PREFIX)))
    if route is None:
        names = ", ".join(f"{method} {PREFIX}{name}" for method, name in _ROUTES)
        connection.answer(404, orjson.dumps({"error": f"There are: {names}."}))
        return
    try:
        content = route(world, request)
    except (ControlError, RuleError, ConfigError, template_news.ChangeError) as error:
        connection.answer(400, orjson.dumps({"error": str(error)}))
        return
    connection.answer(200, orjson.dumps(content))


def _health(_world: World, _request: Request) -> dict[str, Any]:
    return {"status": "ok"}


def _ledger(world: World, request: Request) -> dict[str, Any]:
    since = request.parameter("since", "0")
    if not since.isdigit():
        message = "since is a whole number."
        raise ControlError(message)
    return world.ledger.page(int(since))


def _stats(world: World, _request: Request) -> dict[str, Any]:
    return world.stats()


def _reset(world: World, _request: Request) -> dict[str, Any]:
    world.reset()
    return {"reset": True}


def _add_rule(world: World, request: Request) -> dict[str, Any]:
    world.chooser.rules.append(rule_from(_json(request)))
    return {"rules": len(world.chooser.rules)}


def _inbound(world: World, request: Request) -> dict[str, Any]:
    data = _json(request)
    number, sender = str(data.get("phone_number_id", "")), str(data.get("from", ""))
    sender = sender.lstrip("+")
    kind = str(data.get("type", "text"))
    if not number.isdigit() or not sender.isdigit():
        message = "phone_number_id and from are digits."
        raise ControlError(message)
    content = data.get(kind, "")
    if kind == "text" and not isinstance(content, dict):
        content = {"body": str(content)}
    message_id = str(data.get("id") or new_wamid())
    world.open_window(number, sender)
    world.post([statuses.inbound(number, sender, {"id": message_id, "type": kind, kind: content})])
    return {"id": message_id}


def _webhook(world: World, request: Request) -> dict[str, Any]:
    """Post any changes as they are given, signed."""
    data = _json(request)
    changes = data.get("changes")
    if not isinstance(changes, list):
        message = "changes is a list."
        raise ControlError(message)
    world.post(changes)
    return {"posted": len(changes)}


def _template(world: World, request: Request) -> dict[str, Any]:
    """Change a template and tell of it as Meta does."""
    wanted = _json(request)
    template = templates.find(
        world.templates, wanted.pop("name", None), wanted.pop("language", "en_US")
    )
    if template is None:
        message = "There is no template of this name in this language."
        raise ControlError(message)
    changes = template_news.change(template, wanted)
    if changes:
        world.post(changes)
    return {"template": template, "posted": [change["field"] for change in changes]}


def _configure(world: World, request: Request) -> dict[str, Any]:
    data = _json(request)
    fixed = _FIXED & set(data)
    if fixed:
        message = f"{', '.join(sorted(fixed))} cannot be changed while it runs."
        raise ControlError(message)
    world.config = world.config.changed(data)
    return {"changed": sorted(data)}


def _json(request: Request) -> dict[str, Any]:
    try:
        data = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        message = "The body must be a JSON object."
        raise ControlError(message)
    return data


_ROUTES: dict[tuple[str, str], Callable[[World, Request], dict[str, Any]]] = {
    ("GET", "health"): _health,
    ("GET", "ledger"): _ledger,
    ("GET", "stats"): _stats,
    ("POST", "reset"): _reset,
    ("POST", "rules"): _add_rule,
    ("POST", "inbound"): _inbound,
    ("POST", "webhook"): _webhook,
    ("POST", "template"): _template,
    ("POST", "config"): _configure,
}
