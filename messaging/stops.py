"""Numbers and accounts that Meta has stopped: asking whether they may send again."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from messaging import asking, wake
from messaging.models import BusinessAccount, PhoneNumber
from messaging.providers.whatsapp import api
from orgs import database
from orgs.encryption import DecryptionError
from ratelimit import holds
from ratelimit.models import STOPS, Hold

ACTOR = "system:health_status"


def probe_due() -> int:
    """Ask Meta for the health of the stop longest due; lift it when Meta lets it send again.

    Returns how many were asked for: 0 or 1.
    """
    hold = _take()
    if hold is None:
        return 0
    try:
        health = _ask(hold)
    except (api.ApiError, DecryptionError) as error:
        _note(hold, str(error))
        asking.heed(error, _numbers(hold))
        return 1
    if health is None:
        _note(hold, "Nothing is left to ask for: the number or account is gone.")
    elif health.can_send:
        holds.lift([hold], actor=ACTOR, reason="Meta says that it may send.")
        wake.now(wake.SEND)
    else:
        _note(hold, health.reason)
    return 1


def ask_now(number: PhoneNumber, *, actor: str) -> api.Health:
    """Ask Meta at once whether a number may send, and have its stops follow the answer.

    Returns the answer; raises api.ApiError or DecryptionError when there is none.
    """
    health = _fetch(number)
    stopped = Hold.objects.filter(_of_number(number), cause__in=STOPS)
    if health.can_send:
        if holds.lift(stopped, actor=actor, reason="Meta says that it may send."):
            wake.now(wake.SEND)
    else:
        stopped.update(detail=health.reason[:500])
    return health


def _of_number(number: PhoneNumber) -> Q:
    return Q(scope=Hold.Scope.NUMBER, key=number.phone_number_id) | Q(
        scope=Hold.Scope.ACCOUNT, key=number.account.waba_id
    )


def look_soon(account: BusinessAccount) -> None:
    """Have the stops of an account and its numbers probed at once, as after a new token."""
    numbers = PhoneNumber.objects.filter(account=account).values_list("phone_number_id", flat=True)
    for scope, keys in (
        (Hold.Scope.ACCOUNT, [account.waba_id]),
        (Hold.Scope.NUMBER, list(numbers)),
    ):
        Hold.objects.filter(scope=scope, key__in=keys, cause__in=STOPS).update(
            probe_at=database.now()
        )


@transaction.atomic
def _take() -> Hold | None:
    """Take one stop that is due to be probed, so that no other process asks for it too."""
    now = database.now()
    hold = (
        Hold.objects.select_for_update(skip_locked=True)
        .filter(cause__in=STOPS, probe_at__lte=now)
        .order_by("probe_at")
        .first()
    )
    if hold is not None:
        hold.probes += 1
        hold.probe_at = now + timedelta(seconds=settings.OUTBOUND_STOP_PROBE_SECONDS)
        hold.save(update_fields=["probes", "probe_at"])
    return hold


def _ask(hold: Hold) -> api.Health | None:
    number = _numbers(hold).select_related("account").first()
    if number is None:
        return None
    return _fetch(number)


def _fetch(number: PhoneNumber) -> api.Health:
    """Ask Meta about a number; what it said, or why it did not, stays on the number."""
    try:
        health = api.fetch_health(
            settings.WHATSAPP_CLOUD_API_BASE_URL,
            settings.WHATSAPP_GRAPH_VERSION,
            number.phone_number_id,
            number.account.access_token,
        )
    except api.ApiError as error:
        _keep(number, f"Meta did not tell: {error}")
        raise
    _keep(number, "It may send." if health.can_send else f"It may not send. {health.reason}")
    return health


def _keep(number: PhoneNumber, said: str) -> None:
    PhoneNumber.objects.filter(pk=number.pk).update(
        health_said=said[:500], health_said_at=database.now()
    )


def _numbers(hold: Hold) -> QuerySet[PhoneNumber]:
    by_scope = {Hold.Scope.NUMBER: "phone_number_id", Hold.Scope.ACCOUNT: "account__waba_id"}
    return PhoneNumber.objects.filter(**{by_scope[Hold.Scope(hold.scope)]: hold.key})


def _note(hold: Hold, text: str) -> None:
    """Keep the latest answer where staff see it."""
    Hold.objects.filter(pk=hold.pk).update(detail=text[:500])
