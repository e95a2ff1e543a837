"""Calls that only ask Meta, as for templates and health: their refusals count for sending too."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from messaging import channels, troubles
from messaging.models import PhoneNumber
from messaging.providers.base import NumberError, Scope
from messaging.providers.whatsapp.api import ApiError
from messaging.troubles import Reported
from orgs import database
from orgs.encryption import DecryptionError

# Limits of all calls of an app or account. Another counts management calls alone (80008): what is
# sent goes on.
_COUNTS_ALL = frozenset({Scope.APP, Scope.ACCOUNT})
_MANAGEMENT_ONLY = "80008"


def heed(error: ApiError | DecryptionError, asked_for: QuerySet[PhoneNumber]) -> None:
    """Pause what Meta's refusal names, if it is a limit that sending is counted by as well.

    One of the numbers that were asked for stands for the app and account they share.
    """
    code = error.code if isinstance(error, ApiError) else ""
    rule = channels.error_table().lookup(code) if code else None
    if rule is None or rule.stop or rule.scope not in _COUNTS_ALL or code == _MANAGEMENT_ONLY:
        return
    number = asked_for.select_related("account__app", "org").first()
    if number is not None:
        refused = NumberError(
            number.phone_number_id, number.account.waba_id, code, str(error), rule
        )
        with transaction.atomic():
            now = database.now()
            troubles.take([Reported(refused, number, now)], now)
