"""The state of one number as its page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from console import links
from console.dashboard import numbers, queue
from console.dashboard.numbers import Row
from messaging import holding
from messaging.models import BusinessAccount, MetaApp, PhoneNumber, WebhookDelivery
from orgs import actors, database, staff
from orgs.models import AuditEvent
from ratelimit import holds, rules
from ratelimit.models import Hold

# Lines of the history; webhooks looked through for one of this app.
LINES = 10
DELIVERIES = 1000
# How the trail names a number that was changed on its page.
_FORM = "phonenumber"


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was done about the number, or about what it sends through."""

    at: datetime
    what: str
    on: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What the page tells beyond the fields of the number."""

    row: Row
    is_slowed: bool  # Meta has lately refused messages that came too fast
    held: Sequence[Hold]
    history: Sequence[Line]
    account: BusinessAccount
    account_url: str
    app: MetaApp
    app_url: str  # empty: not for this person
    templates_url: str
    last_webhook_at: datetime | None  # None: none among the latest DELIVERIES


def draw(number: PhoneNumber, user: staff.User) -> Picture:
    """Return the state of a number loaded with account, app and organisation.

    Of a shared app's history only what this person may see.
    """
    now = database.now()
    active = holds.active(now)
    account = number.account
    queued = queue.depth({number.org_id}).by_number.get(number.pk, 0)
    targets = [f"{scope}:{key}" for scope, key in holding.scopes(number)]
    targets.append(f"{_FORM}:{number.pk}")  # what was changed of the number itself
    return Picture(
        row=numbers.one(number, queued, active, now),
        is_slowed=rules.recovered(number.rate_share, number.rate_lowered_at, now)
        < rules.FULL_SHARE,
        held=holding.on_number(active, number),
        history=_history(targets, user),
        account=account,
        account_url=links.page("messaging_businessaccount_change", account.pk),
        app=account.app,
        app_url=links.page("messaging_metaapp_change", account.app_id)
        if staff.reaches_all(user)
        else "",
        templates_url=links.page("messaging_messagetemplate_changelist", account=account.pk),
        last_webhook_at=_last_webhook(account.app),
    )


def circuit_of(number: PhoneNumber) -> Hold | None:
    """Return the open circuit that stops the number, if there is one."""
    return Hold.objects.filter(
        scope=Hold.Scope.APP,
        key=number.account.app.app_id,
        cause=Hold.Cause.PROVIDER_UNAVAILABLE,
    ).first()


def _history(targets: Sequence[str], user: staff.User) -> list[Line]:
    rows = AuditEvent.objects.filter(target__in=targets).order_by("-id")
    events = list(staff.visible(rows, user)[:LINES])
    names = actors.names(event.actor for event in events)
    return [
        Line(event.at, _what(event), _on(event.target), names[event.actor], event.reason)
        for event in events
    ]


def _what(event: AuditEvent) -> str:
    if event.action == f"{_FORM}.changed":
        return f"Changed: {_changes(event)}"
    done = event.action.replace(".", " ").replace("_", " ").capitalize()
    cause = str((event.before or {}).get("cause", ""))
    causes: dict[str, str] = dict(Hold.Cause.choices)
    return f"{done}: {causes.get(cause, cause).lower()}" if cause else done


def _changes(event: AuditEvent) -> str:
    before, after = event.before or {}, event.after or {}
    return ", ".join(
        f"{name.replace('_', ' ')} {before[name]} → {after.get(name)}" for name in sorted(before)
    )


def _on(target: str) -> str:
    kind, _, key = target.partition(":")
    if kind == _FORM:
        return str(Hold.Scope.NUMBER.label)
    scopes: dict[str, str] = dict(Hold.Scope.choices)
    return f"{scopes.get(kind, kind)} {key}"


def _last_webhook(app: MetaApp) -> datetime | None:
    latest = WebhookDelivery.objects.order_by("-id").values_list("app_id", "received_at")
    return next((at for app_id, at in latest[:DELIVERIES] if app_id == app.pk), None)
