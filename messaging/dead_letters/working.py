"""Carrying out operations on dead letters, a batch at a time; whoever dies leaves nothing half."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from messaging import operations
from messaging.dead_letters import bulk, prospects
from messaging.models import BulkOperation
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import database

logger = logging.getLogger(__name__)

Kind = BulkOperation.Kind
State = BulkOperation.State

# Messages of one transaction.
BATCH = 500
# A batch that fails so often in a row never will be done.
MOST_FAILURES = 3
# Workers look once in five seconds: what was not released so long may follow at once, no more.
LATE = timedelta(seconds=10)

# What is counted besides the prospects of those left alone.
CHANGED = "changed"  # no longer as the operation wants them when their turn came
_DONE = {Kind.REQUEUE: "requeued", Kind.DISCARD: "discarded", Kind.RESTORE: "restored"}

_DEEDS: dict[str, Callable[[list[uuid.UUID], Instruction], list[uuid.UUID]]] = {
    Kind.REQUEUE: operations.requeue,
    Kind.DISCARD: operations.discard,
    Kind.RESTORE: operations.restore,
}


def proceed() -> int:
    """Take the operation that has waited longest one batch further; return how many it looked at.

    The messages of a batch move in one transaction with the note that they did: a process that
    dies leaves nothing half done. No message is looked at twice, even if it fails once more. A
    batch that fails is tried again a few times; then the operation is stopped, and says so.
    """
    chosen: BulkOperation | None = None
    try:
        with transaction.atomic():
            now = database.now()
            chosen = (
                BulkOperation.objects.select_for_update(skip_locked=True)
                .filter(state=State.RUNNING, next_at__lte=now)
                .order_by("updated_at", "pk")
                .first()
            )
            return _take_batch(chosen, now) if chosen is not None else 0
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if chosen is None:
            raise
        logger.exception("A batch of an operation failed", extra={"operation_id": str(chosen.pk)})
        _note_failure(chosen)
        return 0


def _take_batch(operation: BulkOperation, now: datetime) -> int:
    free = _free(operation, now)
    looked_at, chosen, left = _look(operation, free, now)
    if not looked_at:
        _end(operation, now)
        return 1
    instruction = Instruction(
        operation.actor, Cause(operation.cause), operation.reason, operation.pk
    )
    done = _DEEDS[operation.kind](chosen, instruction)
    counts = Counter(operation.counts) + left
    counts[_DONE[Kind(operation.kind)]] += len(done)
    counts[CHANGED] += len(chosen) - len(done)
    operation.counts = dict(+counts)
    operation.cursor = looked_at[-1]
    operation.next_at = _next(operation, len(done), now)
    operation.failures = 0
    operation.updated_at = now
    operation.save()
    return len(looked_at)


def _look(
    operation: BulkOperation, free: int, now: datetime
) -> tuple[list[uuid.UUID], list[uuid.UUID], Counter[str]]:
    """Return what was looked at, in order, what of it is to be done, and why the rest is not."""
    messages = bulk.targets(operation).order_by("pk")
    if operation.cursor is not None:
        messages = messages.filter(pk__gt=operation.cursor)
    if operation.kind != Kind.REQUEUE:
        ids = list(messages.values_list("pk", flat=True)[:BATCH])
        return ids, ids, Counter()
    looked_at: list[uuid.UUID] = []
    chosen: list[uuid.UUID] = []
    left: Counter[str] = Counter()
    for pk, prospect in prospects.judged(messages, now)[:BATCH]:
        if prospect in prospects.GOES:
            if len(chosen) == free:
                break
            chosen.append(pk)
        else:
            left[prospect] += 1
        looked_at.append(pk)
    return looked_at, chosen, left


def _step(operation: BulkOperation) -> timedelta:
    """Return the time between two messages at the chosen rate."""
    return (
        timedelta(minutes=1) / operation.rate_per_minute
        if operation.rate_per_minute
        else timedelta()
    )


def _free(operation: BulkOperation, now: datetime) -> int:
    """Return how many messages the rate lets go by now, one at least."""
    step = _step(operation)
    if not step:
        return BATCH
    return min(BATCH, 1 + (now - max(operation.next_at, now - LATE)) // step)


def _next(operation: BulkOperation, released: int, now: datetime) -> datetime:
    """Return when the next message may go, after so many were released."""
    return max(operation.next_at, now - LATE) + released * _step(operation)


def _end(operation: BulkOperation, now: datetime) -> None:
    """Note the end; what matched and was not met has changed meanwhile."""
    counts = Counter(operation.counts)
    counts[CHANGED] += max(0, operation.matched - counts.total())
    operation.counts = dict(+counts)
    operation.state = State.DONE
    operation.finished_at = operation.updated_at = now
    operation.save()
    bulk.audited(operation, "finished", actor=operation.actor, reason=operation.reason)


def _note_failure(operation: BulkOperation) -> None:
    """Count it; stop the operation when it was one too many. What was done stays done."""
    now = database.now()
    with transaction.atomic():
        BulkOperation.objects.filter(pk=operation.pk).update(
            failures=F("failures") + 1, updated_at=now
        )
        if operation.failures + 1 < MOST_FAILURES:
            return
        stopped = BulkOperation.objects.filter(pk=operation.pk, state=State.RUNNING).update(
            state=State.FAILED
        )
        if stopped:
            bulk.audited(operation, "failed", actor="system:operations", reason="")
