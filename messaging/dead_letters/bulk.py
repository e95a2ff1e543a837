"""Operations on all dead letters that match: begun, stopped, gone on with and undone."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from messaging.dead_letters.selection import Selection
from messaging.models import BulkOperation, Discard, OutboundMessage
from messaging.models.messages import MessageQuerySet
from messaging.operations import Instruction
from orgs import audit, database
from orgs.models import Organization

Kind = BulkOperation.Kind
State = BulkOperation.State

# Operations that may be running at once for an organisation, or for all together.
MOST_RUNNING = 20
FASTEST = 1_000_000  # messages a minute


class TooManyError(Exception):
    """So many operations are running that another one has to wait for the end of one."""


def start(
    kind: str, selection: Selection, instruction: Instruction, *, rate: int | None = None
) -> BulkOperation:
    """Have the workers do it to every dead letter that matches and has failed by now.

    ``rate`` is how many may be released a minute; None: as fast as it goes. The rules are asked
    of each message when its turn comes; one that would not go stays where it is and is counted.
    Raises TooManyError, and Organization.DoesNotExist.
    """
    now = database.now()
    operation = BulkOperation(
        org=Organization.objects.get(org_id=selection.org) if selection.org else None,
        kind=kind,
        filter=selection.as_texts(),
        actor=instruction.actor,
        cause=instruction.cause,
        reason=instruction.reason,
        rate_per_minute=rate,
        next_at=now,
        created_at=now,
        updated_at=now,
    )
    return _begin(operation)


def undo(operation: BulkOperation, instruction: Instruction) -> BulkOperation:
    """Have the workers restore what a discard took out, as far as it is not too long ago.

    Raises TooManyError.
    """
    now = database.now()
    return _begin(
        BulkOperation(
            org_id=operation.org_id,
            kind=Kind.RESTORE,
            undoes=operation,
            actor=instruction.actor,
            cause=instruction.cause,
            reason=instruction.reason,
            next_at=now,
            created_at=now,
            updated_at=now,
        )
    )


def can_be_undone(operation: BulkOperation) -> bool:
    """Say whether there is anything an undo would restore."""
    return not operation.is_running and _restorable(operation).exists()


def stop(operation: BulkOperation, *, actor: str, reason: str = "") -> bool:
    """Let the workers do no more of it; False when it is not running. What is done stays done."""
    return _move(operation, (State.RUNNING,), State.STOPPED, actor, reason)


def resume(operation: BulkOperation, *, actor: str, reason: str = "") -> bool:
    """Let the workers go on where they stopped; False when it was not stopped."""
    return _move(operation, (State.STOPPED, State.FAILED), State.RUNNING, actor, reason)


def targets(operation: BulkOperation) -> MessageQuerySet:
    """Return the messages an operation is about that are still as it wants them."""
    if operation.undoes_id is not None:
        discarded = _restorable(operation.undoes).values("message")
        return OutboundMessage.objects.filter(pk__in=discarded)
    matching = Selection.of(operation.filter).messages()
    return matching.filter(failed_at__lte=operation.created_at)


def audited(operation: BulkOperation, what: str, *, actor: str, reason: str) -> None:
    """Write the audit row of a step of the operation."""
    audit.record(
        [
            audit.Entry(
                operation.org_id,
                actor,
                f"dead_letters.{operation.kind}_{what}",
                f"operation:{operation.pk}",
                reason,
                after={
                    "filter": operation.filter,
                    "undoes": str(operation.undoes_id) if operation.undoes_id else None,
                    "rate_per_minute": operation.rate_per_minute,
                    "matched": operation.matched,
                    "counts": operation.counts,
                },
            )
        ]
    )


def _restorable(operation: BulkOperation | None) -> QuerySet[Discard]:
    return Discard.objects.restorable(database.now()).filter(operation=operation)


@transaction.atomic
def _begin(operation: BulkOperation) -> BulkOperation:
    database.take_turns(f"bulk operations of {operation.org_id}")
    running = BulkOperation.objects.filter(state=State.RUNNING, org_id=operation.org_id)
    if running.count() >= MOST_RUNNING:
        message = f"At most {MOST_RUNNING} operations run at once; wait for one to end."
        raise TooManyError(message)
    operation.matched = targets(operation).count()
    operation.save(force_insert=True)
    audited(operation, "started", actor=operation.actor, reason=operation.reason)
    return operation


@transaction.atomic
def _move(
    operation: BulkOperation, old: tuple[State, ...], new: State, actor: str, reason: str
) -> bool:
    now = database.now()
    locked = BulkOperation.objects.select_for_update().get(pk=operation.pk)
    if locked.state not in old:
        return False
    locked.state, locked.updated_at, locked.failures = new, now, 0
    if new == State.RUNNING:
        # The time it stood still is not made up for.
        locked.next_at, locked.finished_at = now, None
    locked.save(update_fields=["state", "updated_at", "failures", "next_at", "finished_at"])
    word = "resumed" if new == State.RUNNING else "stopped"
    audited(locked, word, actor=actor, reason=reason)
    return True
