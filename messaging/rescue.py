"""Claims that ran out: find the evidence, wait for it, or decide without it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from messaging import attempts, transitions
from messaging.attempts import Attempt
from messaging.models import OutboundAttempt, OutboundMessage
from messaging.models.messages import DELIVERY_UNKNOWN
from messaging.providers.base import Outcome, Result
from messaging.states import Cause, Status
from messaging.transitions import Change, Row
from orgs import database
from orgs.models import UnknownPolicy

# Messages handled in one transaction.
BATCH = 200

# Without evidence a marketing message is not risked twice; the others are worth more than a
# possible repetition.
_USUAL = {OutboundMessage.Category.MARKETING.value: UnknownPolicy.HOLD}

WORKER_LOST = "WORKER_LOST"


def rescue_overdue() -> int:
    """Take one batch of overdue claims a step further; return how many were looked at.

    The first time a claim runs out its answer is lost: the attempt becomes UNKNOWN and the
    message waits for a status that proves it was accepted. When that wait runs out too, the
    policy decides: send again, or to the dead letter queue as DELIVERY_UNKNOWN.
    """
    # Nearly always there is none: that takes one statement outside any transaction.
    if not OutboundMessage.objects.overdue(database.now()).exists():
        return 0
    with transaction.atomic():
        now = database.now()
        rows = _lock_overdue(now)
        if not rows:
            return 0
        keys = [(row.pk, row.last_attempt_number) for row in rows.values()]
        known = attempts.load(keys)
        lost = {key: _lost(key) for key in keys if _is_started(known.get(key))}
        charges = attempts.finish(known, lost, now)
        policies = _policies(rows)
        changes = []
        for key in keys:
            row, attempt = rows[key[0]], known.get(key)
            if key in lost:
                changes.append(_wait(row, charges.get(key, 0), now))
            elif attempt is not None and attempt.outcome == Outcome.ACCEPTED:
                changes.append(_accepted(row, attempt, now))
            else:
                changes.append(_without_evidence(row, policies[row.pk], now))
        transitions.apply(rows, changes, now=now)
    return len(rows)


def _lock_overdue(now: datetime) -> transitions.Rows:
    ids: Iterable[uuid.UUID] = (
        OutboundMessage.objects.select_for_update(skip_locked=True)
        .overdue(now)
        .order_by("lease_expires_at")
        .values_list("pk", flat=True)[:BATCH]
    )
    return transitions.lock(list(ids))


def _is_started(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.outcome == OutboundAttempt.STARTED


def _lost(key: attempts.Key) -> Result:
    return Result(
        key=str(key[0]),
        outcome=Outcome.UNKNOWN,
        error_code=WORKER_LOST,
        error_message="The worker stopped between the call and its record.",
    )


def _wait(row: Row, charge: int, now: datetime) -> Change:
    window = timedelta(seconds=settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS)
    return Change(
        row.pk,
        Cause.RESCUE,
        now,
        Status.SENDING,
        kind="unknown",
        # From now, when it is first seen: after an outage the statuses of that time, which may
        # wait to be processed like it, are evidence too.
        wait_until=now + window,
        code=WORKER_LOST,
        text="The answer was lost; waiting for a status that proves it was sent.",
        charge=charge,
        attempt_number=row.last_attempt_number,
    )


def _accepted(row: Row, attempt: Attempt, now: datetime) -> Change:
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


def _policies(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the policy of each: the message's own, else its organisation's, else the usual."""
    found = OutboundMessage.objects.filter(pk__in=list(ids)).values_list(
        "pk", "on_unknown", "org__on_unknown", "category"
    )
    return {
        pk: own or of_org or _USUAL.get(category, UnknownPolicy.RESEND)
        for pk, own, of_org, category in found
    }


def _without_evidence(row: Row, policy: str, now: datetime) -> Change:
    text = "No answer and no status came in time; it may have been delivered."
    again = policy == UnknownPolicy.RESEND and row.attempt_count < row.max_attempts
    return Change(
        row.pk,
        Cause.RESCUE,
        now,
        Status.QUEUED if again else Status.FAILED,
        kind="resend" if again else "",
        due_at=now if again else None,
        retries=again,
        code=DELIVERY_UNKNOWN,
        text=text,
        attempt_number=row.last_attempt_number,
    )
