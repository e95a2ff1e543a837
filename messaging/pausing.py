"""Pausing and resuming numbers and organisations, by staff and by clients; audited."""

from __future__ import annotations

from django.db import transaction

from messaging import wake
from messaging.models import PhoneNumber
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import audit, database
from orgs.models import Organization
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold

Target = PhoneNumber | Organization


@transaction.atomic
def pause(target: Target, instruction: Instruction) -> Hold:
    """Have the target send nothing until it is resumed; return the hold. Twice is once."""
    scope, key, org_id = _place(target)
    cause = _cause(instruction)
    known = Hold.objects.filter(scope=scope, key=key, cause=cause).first()
    if known is not None:
        return known
    request = HoldRequest(scope, key, cause, until=None, detail=instruction.reason, org_id=org_id)
    holds.place([request], database.now())
    audit.record(
        [
            audit.Entry(
                org_id,
                instruction.actor,
                "sending.paused",
                f"{scope}:{key}",
                instruction.reason,
                after={"cause": cause},
            )
        ]
    )
    return Hold.objects.get(scope=scope, key=key, cause=cause)


@transaction.atomic
def resume(target: Target, instruction: Instruction) -> bool:
    """End the pause; say whether there was one.

    Staff end their own pauses and those of clients; a client ends only its own. What Meta
    has stopped stays stopped.
    """
    scope, key, _org_id = _place(target)
    causes = {Hold.Cause.PAUSED_BY_CLIENT, _cause(instruction)}
    found = Hold.objects.filter(scope=scope, key=key, cause__in=causes)
    lifted = holds.lift(found, actor=instruction.actor, reason=instruction.reason)
    if lifted:
        wake.on_commit(wake.SEND)
    return bool(lifted)


def _place(target: Target) -> tuple[str, str, int]:
    if isinstance(target, PhoneNumber):
        return Hold.Scope.NUMBER, target.phone_number_id, target.org_id
    return Hold.Scope.ORGANIZATION, target.org_id, target.pk


def _cause(instruction: Instruction) -> str:
    staff = instruction.cause == Cause.STAFF
    return Hold.Cause.PAUSED_BY_STAFF if staff else Hold.Cause.PAUSED_BY_CLIENT
