"""From a verdict to the hold it asks for, and from a message to the holds that stop it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Protocol

from django.conf import settings
from django.db.models import Q

from messaging.models import PhoneNumber
from messaging.outcomes import Pause, Verdict
from messaging.providers.base import Scope
from ratelimit.holds import HoldRequest
from ratelimit.models import STOPS, Hold

ScopeKey = tuple[str, str]
Active = Mapping[ScopeKey, Sequence[Hold]]  # as ratelimit.holds.active gives them

# The key of each scope that stops a number, as seen from the number.
_KEYS = {
    Hold.Scope.NUMBER: "phone_number_id",
    Hold.Scope.ACCOUNT: "account__waba_id",
    Hold.Scope.APP: "account__app__app_id",
    Hold.Scope.ORGANIZATION: "org__org_id",
}
_READ_KEYS = [(scope, attrgetter(path.replace("__", "."))) for scope, path in _KEYS.items()]


class OfTemplate(Protocol):
    """What names a message's template; both are empty for another kind."""

    template_name: str
    template_language: str


def scopes(number: PhoneNumber) -> set[ScopeKey]:
    """Return the scopes whose hold stops this number."""
    return {(scope, key_of(number)) for scope, key_of in _READ_KEYS}


def on_number(active: Active, number: PhoneNumber) -> list[Hold]:
    """Return the holds among the active ones that stop the number."""
    return [hold for scope in scopes(number) for hold in active.get(scope, [])]


def template_key(message: OfTemplate, number: PhoneNumber) -> ScopeKey:
    """Return the scope of the message's template in the number's account."""
    return template_scope(number.account.waba_id, message.template_name, message.template_language)


def template_scope(waba_id: str, name: str, language: str) -> ScopeKey:
    """Return the scope of an account's template."""
    return Hold.Scope.TEMPLATE, f"{waba_id}/{name}/{language}"


def stopped(found: Iterable[Hold]) -> Q:
    """Return the condition on messages that one of these holds stops.

    The holds are translated into the numbers they stop: there are few of both.
    """
    keys: dict[str, list[str]] = {}
    for hold in found:
        keys.setdefault(hold.scope, []).append(hold.key)
    of_number = Q()
    for scope, path in _KEYS.items():
        of_number |= Q(**{f"{path}__in": keys.get(scope, [])})
    numbers = PhoneNumber.objects.filter(of_number).values_list("pk", flat=True)
    condition = Q(phone_number__in=list(numbers))
    for key in keys.get(Hold.Scope.TEMPLATE, []):
        waba_id, _, template = key.partition("/")
        name, _, language = template.rpartition("/")
        condition |= Q(
            phone_number__account__waba_id=waba_id, template_name=name, template_language=language
        )
    return condition


def unreadable(number: PhoneNumber, now: datetime) -> HoldRequest:
    """Return the hold of a number whose access token no key of ours opens."""
    return HoldRequest(
        scope=Hold.Scope.NUMBER,
        key=number.phone_number_id,
        cause=Hold.Cause.CREDENTIALS,
        until=None,
        code="UNREADABLE",
        detail="No key in OUTBOUND_ENCRYPTION_KEYS opens the access token: add the old key, or "
        "enter the token again.",
        org_id=number.org_id,
        probe_at=now + timedelta(seconds=settings.OUTBOUND_STOP_PROBE_SECONDS),
    )


def pauses_for(message: OfTemplate, number: PhoneNumber, verdict: Verdict) -> list[HoldRequest]:
    """Return the holds a verdict asks for: none, or one with the key of its scope."""
    if verdict.pause is None:
        return []
    return _requests(verdict.pause, number, template_key(message, number))


def pauses_for_number(number: PhoneNumber, pause: Pause | None) -> list[HoldRequest]:
    """Return the holds that trouble of a number asks for which is about no message."""
    return _requests(pause, number, None) if pause is not None else []


def _requests(pause: Pause, number: PhoneNumber, template: ScopeKey | None) -> list[HoldRequest]:
    keys: dict[Scope, tuple[str, str, int | None]] = {
        Scope.NUMBER: (Hold.Scope.NUMBER, number.phone_number_id, number.org_id),
        Scope.ACCOUNT: (Hold.Scope.ACCOUNT, number.account.waba_id, number.org_id),
        Scope.APP: (Hold.Scope.APP, number.account.app.app_id, None),
    }
    if template is not None:
        keys[Scope.TEMPLATE] = keys[Scope.UTILITY] = (*template, number.org_id)
    if pause.scope not in keys:
        return []
    scope, key, org_id = keys[pause.scope]
    until = pause.until
    if pause.scope == Scope.UTILITY and until is not None:
        until = max(until, number.account.utility_capped_until or until)
    wait = timedelta(seconds=settings.OUTBOUND_STOP_PROBE_SECONDS)
    return [
        HoldRequest(
            scope=scope,
            key=key,
            cause=pause.cause,
            until=until,
            code=pause.code[:32],
            detail=pause.text[:500],
            org_id=org_id,
            probe_at=pause.at + wait if pause.cause in STOPS else None,
            longest=pause.longest,
        )
    ]
