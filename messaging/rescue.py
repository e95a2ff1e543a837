"""Claims that ran out: find the evidence, wait for it, or decide without it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from messaging import attempts, transitions
from messaging.models import OutboundAttempt, OutboundMessage
from messaging.models.messages import DELIVERY_UNKNOWN
from messaging.providers.base import Outcome, Result
from messaging.states import Cause, Status
from messaging.transitions import Change
from orgs import database
from orgs.models import UnknownPolicy

# Messages handled in one transaction.
BATCH = 200

# Without evidence a marketing message is not risked twice; the others are worth more than a
# possible repetition.
_HOLD_CATEGORIES = frozenset({OutboundMessage.Category.MARKETING})

WORKER_LOST = "WORKER_LOST"


def rescue_overdue() -> int:
    """Take one batch of overdue claims a step further; return how many were looked at.

    The first time a claim runs out its answer is lost: the attempt becomes UNKNOWN and the
    message waits for a status that proves it was accepted. When that wait runs out too, the
    policy decides: send again, or to the dead letter queue as DELIVERY_UNKNOWN.
    """
    with transaction.atomic():
        now = database.now()
        rows = _lock_overdue(now)
        if not rows:
            return 0
        keys = [(row.pk, row.last_attempt_number) for row in rows.values()]
        known = attempts.load(keys)
        lost = {key: _lost(key) for key in keys if _is_started(known.get(key))}
        charges = attempts.finish(known, lost, now)
        changes = []
        for key in keys:
            row, attempt = rows[key[0]], known.get(key)
            if key in lost:
                changes.append(_wait(row, charges.get(key, 0), now))
            elif attempt is not None and attempt.outcome == Outcome.ACCEPTED:
                changes.append(_accepted(row, attempt, now))
            else:
                changes.append(_without_evidence(row, now))
        transitions.apply(rows, changes, now=now)
    return len(rows)


def _lock_overdue(now: datetime) -> transitions.Rows:
    ids: Iterable[uuid.UUID] = (
        OutboundMessage.objects.select_for_update(skip_locked=True)
        .overdue(now)
        .order_by("lease_expires_at")
        .values_list("pk", flat=True)[:BATCH]
    )
    rows = (
        OutboundMessage.objects.filter(pk__in=list(ids))
        .select_related("org")
        .only(*transitions.READ, "category", "on_unknown", "org__on_unknown")
        .order_by("pk")
    )
    return {row.pk: row for row in rows}


def _is_started(attempt: OutboundAttempt | None) -> bool:
    return attempt is not None and attempt.outcome == OutboundAttempt.STARTED


def _lost(key: attempts.Key) -> Result:
    return Result(
        key=str(key[0]),
        outcome=Outcome.UNKNOWN,
        error_code=WORKER_LOST,
        error_message="The worker stopped between the call and its record.",
    )


def _wait(row: OutboundMessage, charge: int, now: datetime) -> Change:
    window = timedelta(seconds=settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS)
    return Change(
        row.pk,
        Cause.RESCUE,
        now,
        Status.SENDING,
        kind="unknown",
        wait_until=(row.lease_expires_at or now) + window,
        code=WORKER_LOST,
        text="The answer was lost; waiting for a status that proves it was sent.",
        charge=charge,
        attempt_number=row.last_attempt_number,
    )


def _accepted(row: OutboundMessage, attempt: OutboundAttempt, now: datetime) -> Change:
    """The answer was stored after the claim had run out."""
    return Change(
        row.pk,
        Cause.RESCUE,
        now,
        Status.SENT,
        provider_message_id=attempt.provider_message_id,
        accepted_at=attempt.finished_at,
        attempt_number=row.last_attempt_number,
    )


def _policy(row: OutboundMessage) -> str:
    """Return the message's own policy, else its organisation's, else that of its category."""
    usual = UnknownPolicy.HOLD if row.category in _HOLD_CATEGORIES else UnknownPolicy.RESEND
    return row.on_unknown or row.org.on_unknown or usual


def _without_evidence(row: OutboundMessage, now: datetime) -> Change:
    text = "No answer and no status came in time; it may have been delivered."
    again = _policy(row) == UnknownPolicy.RESEND and row.attempt_count < row.max_attempts
    return Change(
        row.pk,
        Cause.RESCUE,
        now,
        Status.QUEUED if again else Status.FAILED,
        kind="resend" if again else "",
        due_at=now if again else None,
        code=DELIVERY_UNKNOWN,
        text=text,
        attempt_number=row.last_attempt_number,
    )
