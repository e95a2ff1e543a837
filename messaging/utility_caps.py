"""Meta's cap of utility messages after templates with a wrong category, known by its end.

The cap lets some utility messages through, so nothing is held before one is refused (131064). Its
template is then held to the end that Meta told, or, while it has told none, for an hour at first.
What is marketing or authentication goes on.
"""

from __future__ import annotations

from datetime import datetime

from messaging import wake
from messaging.models import BusinessAccount, ProviderNotice
from messaging.providers.base import Notice
from orgs import actors
from ratelimit import holds
from ratelimit.models import Hold, HoldQuerySet


def begin(account: BusinessAccount, until: datetime, notice: Notice, now: datetime) -> None:
    """Note when the cap ends, and have what is held already wait for it; in a transaction.

    What was told before the cap was lifted, and comes after, changes nothing.
    """
    later = ProviderNotice.objects.filter(
        account=account, event=notice.event, occurred_at__gt=notice.at
    )
    if until <= now or later.exists():
        return
    BusinessAccount.objects.filter(pk=account.pk).update(utility_capped_until=until)
    _held(account).active(now).filter(until__lt=until).update(until=until)


def end(account: BusinessAccount) -> None:
    """Let go what the cap holds; in a transaction."""
    BusinessAccount.objects.filter(pk=account.pk).update(utility_capped_until=None)
    holds.lift(
        _held(account), actor=actors.META, reason="Meta has lifted the cap of utility messages."
    )
    wake.on_commit(wake.SEND)


def _held(account: BusinessAccount) -> HoldQuerySet:
    return Hold.objects.filter(
        scope=Hold.Scope.TEMPLATE,
        cause=Hold.Cause.THROTTLE,
        key__startswith=f"{account.waba_id}/",
    )
