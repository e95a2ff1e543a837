"""Taking due messages: lock, ask the rules again, claim what may go."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F

from consent import ledger
from messaging import (
    attempts,
    circuit,
    holding,
    lanes,
    limits,
    quiet_hours,
    screening,
    templates,
    transitions,
    windows,
    withdrawals,
)
from messaging.candidates import Claimed
from messaging.lanes import Turn
from messaging.models import OutboundMessage, PhoneNumber
from messaging.models.messages import EXPIRED, OUTSIDE_SERVICE_WINDOW, TEMPLATE_NOT_SENDABLE
from messaging.providers.base import steady_seconds
from messaging.screening import Screened
from messaging.states import Cause, Status
from messaging.transitions import Change
from orgs import database
from orgs.database import Values
from ratelimit import holds
from ratelimit.rules import Verdict, micros

logger = logging.getLogger(__name__)

Verdicts = Mapping[uuid.UUID, Verdict]

__all__ = ["Claim", "Claimed", "claim_due", "expire"]

# A message whose template is on hold is looked at again after this long.
TEMPLATE_LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch of messages this process alone may send until the lease runs out."""

    messages: Sequence[Claimed]
    more: bool  # whether some lane has, or may have, more
    deadline: float  # providers.base.steady_seconds() after which no call may start
    # By number's pk: its first free start slot, steady_seconds(); nothing sooner is to be had.
    booked: Mapping[int, float] = field(default_factory=dict)
    decided_at: float = 0.0  # when the limits were asked for good, steady_seconds()


def claim_due(
    free: int,
    *,
    capacity: int | None = None,
    busy: Mapping[int, int] | None = None,
    ceiling: Callable[[PhoneNumber], int] | None = None,
    lead: Callable[[int], float] | None = None,
) -> Claim | None:
    """Claim up to ``free`` due messages of numbers that may send; None when there are none.

    ``capacity`` and ``busy`` (calls in flight by number's pk) bound each number's share, and
    ``ceiling`` says how many calls of a number may be in flight at once. ``lead`` says how many
    seconds pass from the decision on so many messages until they can be sent. Rows another
    worker holds are passed over. Limits, consent, expiry and window are asked after the rows are
    locked, by statements of their own, so that what was committed before is seen; Redis, where
    there is one, has refused before that what the limits do not let go now.
    """
    begun = steady_seconds()
    # Looked at without a transaction: an idle worker asks these two statements every second.
    clock = limits.Clock.read()
    now = clock.now
    due = lanes.due(now)
    if not due:
        return None
    active = holds.active(now)
    found = lanes.eligible(due)
    holds.place([holding.unreadable(number, now) for number in lanes.unreadable(due, found)], now)
    numbers, probing = _open_numbers(found, active, now)
    open_lanes = [lane for lane in due if lane.number_id in numbers]
    turns = lanes.take_turns(
        open_lanes,
        free=free,
        capacity=capacity or 2 * free,
        busy=busy or {},
        ceilings={
            pk: 1 if pk in probing else ceiling(number) if ceiling else free
            for pk, number in numbers.items()
        },
    )
    screened = screening.screen(turns, numbers, clock)
    going: Sequence[Claimed] = ()
    try:
        if turns and not screened.is_idle:
            going = _claim(turns, screened, numbers, probing, lead or (lambda _count: 0.0))
    except BaseException:
        screened.undo()
        raise
    finally:
        _follow_up(screened, now)
    more = len(turns) < len(open_lanes) or screened.seen >= sum(turn.most for turn in turns)
    if not screened.seen and not (open_lanes and more):
        return None
    # A call that starts later could outlive the lease with its connect and read time-outs.
    margin = settings.OUTBOUND_CONNECT_TIMEOUT_SECONDS + settings.OUTBOUND_READ_TIMEOUT_SECONDS
    deadline = begun + settings.OUTBOUND_LEASE_SECONDS - margin
    return Claim(going, more, deadline, screened.booked(), screened.decided_at)


def _follow_up(screened: Screened, now: datetime) -> None:
    """Let Redis and the holds follow what was decided; the claim stands if that fails.

    Both only spare later work. A claim that is committed must reach the courier, or its
    messages would stay with nobody until the lease runs out.
    """
    try:
        screened.settle()
        limits.hold_exhausted(screened.exhausted, now)
    except (DatabaseError, InterfaceError) as error:
        database.release_connection()
        logger.warning("The limits did not follow a claim (%s)", type(error).__name__)


@transaction.atomic
def _claim(
    turns: Sequence[Turn],
    screened: Screened,
    numbers: Mapping[int, PhoneNumber],
    probing: Collection[int],
    lead: Callable[[int], float],
) -> list[Claimed]:
    """Lock, ask all rules again, and take what may go."""
    clock = screened.clock = screened.clock.go_on()
    now = clock.now
    rows = screened.lock(turns)
    active = holds.active(now)
    closed = _closed(numbers, probing, {row.phone_number_id for row in rows}, active, now)
    held = _postpone_held_templates(rows, numbers, active, now)
    held |= quiet_hours.postpone([row for row in rows if row.pk not in held], now)
    refusals = _refusals([row for row in rows if row.pk not in held], numbers, now)
    _refuse(refusals, now)
    stay = held | {change.message_id for change in refusals}
    ready = [row for row in rows if row.pk not in stay and row.phone_number_id not in closed]

    def confirm() -> Verdicts:
        return screened.confirm(ready, numbers, steady_seconds() + lead(len(ready)))

    claim_id = uuid.uuid4()
    verdicts = _take_first(ready, claim_id, now, confirm) if screened.has_let_go(ready) else None
    if verdicts is None:
        verdicts = confirm()
        screened.step_back()
        _take([row for row in ready if verdicts[row.pk].limit is None], claim_id, now)
    going = [row for row in ready if verdicts[row.pk].limit is None]
    for row in going:
        verdict = verdicts[row.pk]
        row.phone_number, row.claim_id = numbers[row.phone_number_id], claim_id
        row.last_attempt_number += 1
        row.start_at, row.quota_window = clock.steady(verdict.at), verdict.window
        row.worthless_at = clock.steady(micros(row.expires_at))
    return going


class _RefusedError(Exception):
    """The database lets some of them wait that Redis let go."""


def _take_first(
    rows: Sequence[Claimed], claim_id: uuid.UUID, now: datetime, confirm: Callable[[], Verdicts]
) -> Verdicts | None:
    """Take what Redis has let go, then ask for good; None, and nothing done, if not all may go.

    Asking locks the rows of the organisations until the end of the transaction, and gives out
    start slots: the less comes after it, the less other workers wait, and the sooner the first
    call can begin.
    """
    try:
        with transaction.atomic():
            _take(rows, claim_id, now)
            verdicts = confirm()
            if any(verdict.limit is not None for verdict in verdicts.values()):
                raise _RefusedError
    except _RefusedError:
        return None
    return verdicts


def _closed(
    numbers: Mapping[int, PhoneNumber],
    probing: Collection[int],
    locked: Collection[int],
    active: holding.Active,
    now: datetime,
) -> set[int]:
    """Return the numbers that may not send after all, as the holds are under the lock.

    Those with a message that may send one to probe take the right to it; one worker gets it.
    """
    still_open, still_probing = _open_numbers(numbers, active, now)
    closed = (numbers.keys() - still_open.keys()) | (still_probing - set(probing))
    return closed | {
        pk
        for pk in still_probing & set(locked)
        if not circuit.take_probe(holding.on_number(active, numbers[pk])[0], now)
    }


def _open_numbers(
    found: Mapping[int, PhoneNumber], active: holding.Active, now: datetime
) -> tuple[dict[int, PhoneNumber], set[int]]:
    """Return the numbers that may send now, and those of them that may send one message only.

    Through an open circuit goes one message for the whole app.
    """
    numbers: dict[int, PhoneNumber] = {}
    probing: set[int] = set()
    taken: set[int] = set()
    for pk, number in found.items():
        stopped_by = holding.on_number(active, number)
        if not stopped_by:
            numbers[pk] = number
        elif circuit.is_probing(stopped_by, now) and stopped_by[0].pk not in taken:
            taken.add(stopped_by[0].pk)
            numbers[pk] = number
            probing.add(pk)
    return numbers, probing


def _postpone_held_templates(
    rows: Sequence[Claimed],
    numbers: Mapping[int, PhoneNumber],
    active: holding.Active,
    now: datetime,
) -> set[uuid.UUID]:
    """Look again later at the messages whose template is on hold; return their ids.

    A hold of a template leaves the lane open for the others, so these step back a little.
    """
    held = {
        row.pk for row in rows if holding.template_key(row, numbers[row.phone_number_id]) in active
    }
    if held:
        OutboundMessage.objects.filter(pk__in=held).update(due_at=now + TEMPLATE_LOOK_AGAIN)
    return held


def _refusals(
    rows: Sequence[Claimed], numbers: Mapping[int, PhoneNumber], now: datetime
) -> list[Change]:
    """Return the changes for the messages that must not go any more."""
    asks = [ledger.Ask(row.contact_id, row.channel, row.purpose) for row in rows]
    answers = ledger.check(asks, now)
    closed = windows.closed([row for row in rows if windows.needs_window(row.kind)], now)
    over = _ended_templates(rows, numbers)
    changes = []
    for row, ask in zip(rows, asks, strict=True):
        answer = answers[ask]
        if row.expires_at <= now:
            changes.append(expire(row.pk, now))
        elif not answer.allowed:
            changes.append(withdrawals.without_consent(row.pk, row.purpose, answer.status, now))
        elif row.pk in closed:
            text = "The 24-hour customer service window has closed; send a template instead."
            changes.append(_failed(row, OUTSIDE_SERVICE_WINDOW, text, now))
        elif row.pk in over:
            text = f"Meta has the template as {over[row.pk]}."
            changes.append(_failed(row, TEMPLATE_NOT_SENDABLE, text, now))
    return changes


def _ended_templates(
    rows: Sequence[Claimed], numbers: Mapping[int, PhoneNumber]
) -> dict[uuid.UUID, str]:
    """Return the messages whose template Meta has put an end to, with its status."""
    asked = {
        row.pk: (numbers[row.phone_number_id].account_id, row.template_name, row.template_language)
        for row in rows
        if row.template_name
    }
    over = templates.unsendable(set(asked.values()))
    return {pk: over[key] for pk, key in asked.items() if key in over}


def _failed(row: Claimed, code: str, text: str, now: datetime) -> Change:
    return Change(row.pk, Cause.RULE, now, Status.FAILED, code=code, text=text)


def expire(message_id: uuid.UUID, now: datetime) -> Change:
    """Return the change that withdraws a message whose expiry has passed."""
    text = "Its expiry passed before it could be sent."
    return Change(message_id, Cause.EXPIRY, now, Status.CANCELLED, code=EXPIRED, text=text)


def _refuse(changes: Sequence[Change], now: datetime) -> None:
    if changes:
        rows = transitions.lock(change.message_id for change in changes)
        transitions.apply(rows, changes, now=now)


def _take(rows: Sequence[Claimed], claim_id: uuid.UUID, now: datetime) -> None:
    """Move the locked rows to SENDING: a move made outside transitions.apply.

    They were locked as QUEUED, and the table lets them go from there.
    """
    if not rows:
        return
    lease = now + timedelta(seconds=settings.OUTBOUND_LEASE_SECONDS)
    ids = Values(row.pk for row in rows)
    OutboundMessage.objects.filter(pk__among=ids).update(
        status=Status.SENDING,
        due_at=None,
        claim_id=claim_id,
        lease_expires_at=lease,
        last_attempt_number=F("last_attempt_number") + 1,
        held_by="",
        updated_at=now,
    )
    taken = OutboundMessage.objects.filter(pk__among=ids, claim_id=claim_id)
    attempts.start(taken, now)
    transitions.record_claim(taken, now)
