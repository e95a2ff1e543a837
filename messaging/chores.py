"""What follows from people's wishes and staff's settings, done in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models import QuerySet

from consent.models import Consent, ConsentImport, ConsentPolicy, Contact
from consent.transfer import importing
from messaging import quiet_hours, withdrawals
from messaging.dead_letters import working
from messaging.models import BulkOperation, Erasure
from messaging.persons import erasing
from orgs import database

logger = logging.getLogger(__name__)

Chore = Callable[[], int]  # does one batch; returns 0 when nothing is left to do now


def do_some() -> int:
    """Do one batch of each chore there is; return how much was done.

    When there is none, which is nearly always, that takes one statement outside any transaction.
    One that fails is logged and tried again later, and keeps no other from being done.
    """
    return sum(_attempt(chore) for chore in _wanted())


def _attempt(chore: Chore) -> int:
    try:
        return chore()
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("A chore failed; it is tried again", extra={"chore": chore.__module__})
        return 0


def _wanted() -> list[Chore]:
    chores = _chores()
    compiled = [database.compiled(rows.values("pk")[:1]) for _chore, rows in chores]
    looks = ", ".join(f"EXISTS ({sql})" for sql, _parameters in compiled)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {looks}",
            [value for _sql, parameters in compiled for value in parameters],
        )
        found = cursor.fetchone()
    return [chore for (chore, _rows), is_wanted in zip(chores, found, strict=True) if is_wanted]


def _chores() -> list[tuple[Chore, QuerySet[Any]]]:
    """Return each chore with the rows that call for it; all have a partial index or are few."""
    return [
        (withdrawals.cancel_withdrawn, Consent.objects.filter(cancel_pending=True)),
        (quiet_hours.reconsider, ConsentPolicy.objects.filter(hours_changed_at__isnull=False)),
        (quiet_hours.reconsider_people, Contact.objects.filter(zone_changed_at__isnull=False)),
        (erasing.proceed, Erasure.objects.filter(finished_at=None)),
        (importing.proceed, ConsentImport.objects.exclude(state__in=importing.ENDED)),
        (working.proceed, BulkOperation.objects.filter(state=BulkOperation.State.RUNNING)),
    ]
