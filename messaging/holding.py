"""From a verdict to the hold it asks for: which row of which scope."""

from __future__ import annotations

from collections.abc import Mapping

from messaging.models import PhoneNumber
from messaging.outcomes import Verdict
from messaging.providers.base import Scope
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold


def scopes(number: PhoneNumber) -> set[tuple[str, str]]:
    """Return the scopes whose hold stops this number."""
    return {
        (Hold.Scope.NUMBER, number.phone_number_id),
        (Hold.Scope.ACCOUNT, number.account.waba_id),
        (Hold.Scope.APP, number.account.app.app_id),
        (Hold.Scope.ORGANIZATION, number.org.org_id),
    }


def pauses_for(number: PhoneNumber, verdict: Verdict) -> list[HoldRequest]:
    """Return the holds a verdict asks for: none, or one with the key of its scope."""
    pause = verdict.pause
    if pause is None:
        return []
    keys: Mapping[Scope, tuple[str, str, int | None]] = {
        Scope.NUMBER: (Hold.Scope.NUMBER, number.phone_number_id, number.org_id),
        Scope.ACCOUNT: (Hold.Scope.ACCOUNT, number.account.waba_id, number.org_id),
        Scope.APP: (Hold.Scope.APP, number.account.app.app_id, None),
    }
    scope, key, org_id = keys[pause.scope]
    return [
        HoldRequest(
            scope=scope,
            key=key,
            cause=pause.cause,
            until=pause.until,
            code=pause.code[:32],
            detail=pause.text[:500],
            org_id=org_id,
        )
    ]
