"""What people do to messages: requeue and cancel, by the table and audited."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from messaging import transitions, wake
from messaging.models.messages import CANCELLED_BY_CLIENT, CANCELLED_BY_STAFF
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs import audit, database

# More than this at once would hold its locks for too long.
LARGEST_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Instruction:
    """Who wants it, as client or as staff, and why."""

    actor: str  # "key:<prefix>" or "user:<id>"
    cause: Cause  # CLIENT or STAFF
    reason: str


def requeue(ids: Iterable[uuid.UUID], instruction: Instruction) -> list[uuid.UUID]:
    """Give failed messages fresh attempts, at once; return those that were requeued.

    Others, in any status but FAILED, are left alone: doing it twice, or by two people at
    once, sends once. Consent and expiry are asked again when they are claimed. Raises
    ValueError for more than LARGEST_BATCH ids.
    """
    fresh = len(settings.OUTBOUND_RETRY_SCHEDULE_SECONDS)
    with transaction.atomic():
        now = database.now()
        rows = transitions.lock(_bounded(ids))
        changes = [
            Change(
                row.pk,
                instruction.cause,
                now,
                Status.QUEUED,
                kind="requeued",
                due_at=now,
                extra_attempts=row.attempt_count + fresh - row.max_attempts,
                actor=instruction.actor,
                reason=instruction.reason,
            )
            for row in rows.values()
            if row.status == Status.FAILED
        ]
        made = transitions.apply(rows, changes, now=now)
        _audit("message.requeued", made)
        if made:
            wake.on_commit(wake.SEND)
    return [item.change.message_id for item in made]


def cancel(ids: Iterable[uuid.UUID], instruction: Instruction) -> list[uuid.UUID]:
    """Withdraw queued messages; return those withdrawn.

    One that a worker has already claimed is left alone: it may be on its way. Raises
    ValueError for more than LARGEST_BATCH ids.
    """
    staff = instruction.cause == Cause.STAFF
    with transaction.atomic():
        now = database.now()
        rows = transitions.lock(_bounded(ids))
        changes = [
            Change(
                row.pk,
                instruction.cause,
                now,
                Status.CANCELLED,
                code=CANCELLED_BY_STAFF if staff else CANCELLED_BY_CLIENT,
                text=instruction.reason,
                actor=instruction.actor,
                reason=instruction.reason,
            )
            for row in rows.values()
            if row.status == Status.QUEUED
        ]
        made = transitions.apply(rows, changes, now=now)
        _audit("message.cancelled", made)
    return [item.change.message_id for item in made]


def _bounded(ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    wanted = list(ids)
    if len(wanted) > LARGEST_BATCH:
        message = f"At most {LARGEST_BATCH} messages at a time."
        raise ValueError(message)
    return wanted


def _audit(action: str, made: Sequence[Applied]) -> None:
    audit.record(
        [
            audit.Entry(
                org_id=item.org_id,
                actor=item.change.actor,
                action=action,
                target=f"message:{item.change.message_id}",
                reason=item.change.reason,
                before={"status": item.old},
                after={"status": item.new},
            )
            for item in made
        ]
    )
