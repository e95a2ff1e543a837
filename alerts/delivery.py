"""Sending notices: taken by one process each, sent in no transaction, tried again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from alerts import metrics, routing
from alerts.models import Notice, Route
from alerts.outlets import email, slack, webhook
from alerts.outlets.base import Letter, OutletError
from messaging import wake
from orgs import database
from orgs.encryption import DecryptionError

logger = logging.getLogger(__name__)

DELIVER = "alerts.deliver"
BATCH = 20
# Outlets wait for each other no more than this allows: a slow one takes one thread.
THREADS = 8
# A notice that is being sent is left alone for so long; longer than all its time-outs.
LEASE = timedelta(minutes=3)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)
MOST_ATTEMPTS = 12  # over some four hours

SWITCHED_OFF = "The route was switched off"

_SENDERS = {
    Route.Outlet.EMAIL: email.send,
    Route.Outlet.SLACK: slack.send,
    Route.Outlet.WEBHOOK: webhook.send,
}

State = Notice.State


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try; without an error it is through."""

    error: str = ""
    permanent: bool = False
    retry_after: float | None = None


def soon() -> None:
    """Have the workers look once the transaction around is committed; never raises."""
    wake.on_commit(DELIVER)


def deliver_due() -> int:
    """Send the notices that are due; return how many were tried."""
    now = database.now()
    # Nearly always there is none: no transaction for that.
    return _deliver(_take(now)) if _due(now).exists() else 0


def deliver(notices: Sequence[Notice]) -> list[Notice]:
    """Send these now, and return them as they are then."""
    pks = [notice.pk for notice in notices]
    _deliver(_take(database.now(), pks))
    return list(_with_routes(Notice.objects.filter(pk__in=pks)).order_by("pk"))


def _due(now: datetime) -> QuerySet[Notice]:
    return Notice.objects.filter(state=State.PENDING, next_try_at__lte=now)


@transaction.atomic
def _take(now: datetime, only: Sequence[int] | None = None) -> list[Notice]:
    """Take due notices for this process, so that no other sends them too."""
    due = _due(now)
    # A test says whether a route works that is off as yet.
    due.filter(route__is_active=False).exclude(kind=Notice.Kind.TEST).update(
        state=State.GIVEN_UP, error=SWITCHED_OFF
    )
    if only is not None:
        due = due.filter(pk__in=only)
    rows = list(
        _with_routes(due.select_for_update(skip_locked=True, of=("self",))).order_by(
            "next_try_at", "pk"
        )[:BATCH]
    )
    Notice.objects.filter(pk__in=[row.pk for row in rows]).update(
        attempts=F("attempts") + 1, next_try_at=now + LEASE
    )
    for row in rows:
        row.attempts += 1
    return rows


def _with_routes(rows: QuerySet[Notice]) -> QuerySet[Notice]:
    """Join the routes without their secrets: one that no key opens would keep all unread."""
    return rows.select_related("route").defer("route__url", "route__signing_secret")


def _deliver(rows: Sequence[Notice]) -> int:
    if not rows:
        return 0
    letters = [_readable(row) for row in rows]
    with ThreadPoolExecutor(min(THREADS, len(rows)), thread_name_prefix="outlet") as pool:
        outcomes = list(pool.map(_send, letters))
    for row, outcome in zip(rows, outcomes, strict=True):
        _record(row, outcome)
    return len(rows)


def _readable(row: Notice) -> Letter | None:
    """Return the letter; None when no key opens the secrets of its route."""
    try:
        return _letter(row)
    except DecryptionError:
        return None


def _letter(row: Notice) -> Letter:
    """Return all that the outlet needs: it asks the database nothing."""
    route = row.route
    return Letter(
        notice_id=row.pk,
        alert_id=row.alert_id,
        outlet=row.outlet,
        kind=row.kind,
        severity=row.severity,
        content=row.content,
        created_at=row.created_at,
        recipients=tuple(
            routing.addresses(route.recipients)
            if route is not None
            else settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS
        ),
        url=route.url if route is not None else settings.OUTBOUND_ALERT_SLACK_WEBHOOK_URL,
        secret=route.signing_secret if route is not None else "",
    )


def _send(letter: Letter | None) -> Outcome:
    """Send one; whatever goes wrong is this outlet's alone."""
    if letter is None:
        return Outcome("No key in OUTBOUND_ENCRYPTION_KEYS opens the secrets of the route")
    try:
        _SENDERS[Route.Outlet(letter.outlet)](letter)
    except OutletError as error:
        return Outcome(str(error), error.permanent, error.retry_after)
    except Exception as error:  # noqa: BLE001 - an outlet that breaks must not stop another
        # Its text may name an address or a URL.
        return Outcome(type(error).__name__)
    return Outcome()


@transaction.atomic
def _record(row: Notice, outcome: Outcome) -> None:
    now = database.now()
    mine = Notice.objects.filter(pk=row.pk, attempts=row.attempts)
    if not outcome.error:
        metrics.count_sent(row.outlet, row.severity)
        mine.update(state=State.SENT, sent_at=now, error="")
        return
    metrics.count_error(row.outlet, row.severity)
    over = outcome.permanent or row.attempts >= MOST_ATTEMPTS
    logger.warning(
        "A notice was not delivered",
        extra={"notice": row.pk, "outlet": row.outlet, "error": outcome.error, "over": over},
    )
    waiting = mine.filter(state=State.PENDING)
    if over:
        waiting.update(state=State.GIVEN_UP, error=outcome.error[:200])
    else:
        wait = _wait(row.attempts, outcome.retry_after)
        waiting.update(error=outcome.error[:200], next_try_at=now + wait)


def _wait(attempts: int, retry_after: float | None) -> timedelta:
    if retry_after is not None:
        # Compared as numbers: of what the other side writes not everything is a length of time.
        return timedelta(seconds=min(max(1.0, retry_after), LONGEST_WAIT.total_seconds()))
    return min(FIRST_WAIT * float(2 ** (attempts - 1)), LONGEST_WAIT)
