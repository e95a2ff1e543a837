"""What people do to messages: requeue, cancel, discard and undo, by the table and audited."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from messaging import transitions, wake
from messaging.models import Discard
from messaging.models.messages import CANCELLED_BY_CLIENT, CANCELLED_BY_STAFF, DISCARDED
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change, Row
from orgs import audit, database

# More than this at once would hold its locks for too long.
LARGEST_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Instruction:
    """Who wants it, as client or as staff, and why."""

    actor: str  # "key:<prefix>" or "user:<id>"
    cause: Cause  # CLIENT or STAFF
    reason: str
    operation_id: uuid.UUID | None = None  # of the bulk operation that carries it out


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
        _audit("message.requeued", made, instruction)
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
        _audit("message.cancelled", made, instruction)
    return [item.change.message_id for item in made]


def discard(ids: Iterable[uuid.UUID], instruction: Instruction) -> list[uuid.UUID]:
    """Take failed messages out of the dead letter queue; return those that were.

    For ``UNDO_FOR`` they can be restored. Raises ValueError for more than LARGEST_BATCH ids.
    """
    with transaction.atomic():
        now = database.now()
        rows = transitions.lock(_bounded(ids))
        failed = [row for row in rows.values() if row.status == Status.FAILED]
        kept = [_kept(row, instruction, now) for row in failed]
        changes = [
            Change(
                row.pk,
                instruction.cause,
                now,
                Status.CANCELLED,
                kind="discarded",
                code=DISCARDED,
                text=instruction.reason,
                actor=instruction.actor,
                reason=instruction.reason,
            )
            for row in failed
        ]
        made = transitions.apply(rows, changes, now=now)
        database.upsert_rows(Discard, kept, key=["message_id"])
        _audit("message.discarded", made, instruction)
    return [item.change.message_id for item in made]


def restore(ids: Iterable[uuid.UUID], instruction: Instruction) -> list[uuid.UUID]:
    """Undo the discard of messages, back to the failures they were; return those restored.

    One whose discard is older than ``UNDO_FOR``, or that is no longer discarded, is left alone.
    Raises ValueError for more than LARGEST_BATCH ids.
    """
    with transaction.atomic():
        now = database.now()
        rows = transitions.lock(_bounded(ids))
        found = Discard.objects.restorable(now).filter(message_id__in=list(rows))
        kept = {row.pk: row for row in found}
        changes = [
            Change(
                pk,
                instruction.cause,
                now,
                Status.FAILED,
                kind="restored",
                code=kept[pk].error_code,
                text=kept[pk].error_message,
                failed_at=kept[pk].failed_at,
                actor=instruction.actor,
                reason=instruction.reason,
            )
            for pk in rows
            if pk in kept
        ]
        made = transitions.apply(rows, changes, now=now)
        restored = [item.change.message_id for item in made]
        Discard.objects.filter(message_id__in=restored).delete()
        _audit("message.discard_undone", made, instruction)
    return restored


def _kept(row: Row, instruction: Instruction, now: datetime) -> dict[str, object]:
    return {
        "message_id": row.pk,
        "org_id": row.org_id,
        "operation_id": instruction.operation_id,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "failed_at": row.failed_at,
        "actor": instruction.actor,
        "reason": instruction.reason,
        "discarded_at": now,
    }


def _bounded(ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    wanted = list(ids)
    if len(wanted) > LARGEST_BATCH:
        message = f"At most {LARGEST_BATCH} messages at a time."
        raise ValueError(message)
    return wanted


def _audit(action: str, made: Sequence[Applied], instruction: Instruction) -> None:
    operation = instruction.operation_id
    part_of = {"operation": str(operation)} if operation else {}
    audit.record(
        [
            audit.Entry(
                org_id=item.org_id,
                actor=item.change.actor,
                action=action,
                target=f"message:{item.change.message_id}",
                reason=item.change.reason,
                before={"status": item.old},
                after={"status": item.new, **part_of},
            )
            for item in made
        ]
    )
