"""Taking due messages: lock, ask the rules again, claim what may go."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from consent import ledger
from messaging import (
    attempts,
    circuit,
    holding,
    lanes,
    quiet_hours,
    transitions,
    windows,
    withdrawals,
)
from messaging.lanes import Turn
from messaging.models import OutboundMessage, PhoneNumber
from messaging.models.messages import EXPIRED, OUTSIDE_SERVICE_WINDOW
from messaging.providers.base import steady_seconds
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs import database
from ratelimit import holds

# A message whose template is on hold is looked at again after this long.
TEMPLATE_LOOK_AGAIN = timedelta(seconds=30)


@dataclass(slots=True)
class Claimed:
    """What sending needs of one message; far cheaper to make than a model instance."""

    pk: uuid.UUID
    org_id: int
    phone_number_id: int
    contact_id: int
    to_recipient: str = field(repr=False)
    channel: str
    kind: str
    template_name: str
    template_language: str
    payload: Any = field(repr=False)
    reply_to: str
    purpose: str
    expires_at: datetime
    last_attempt_number: int
    phone_number: PhoneNumber = field(init=False)
    claim_id: uuid.UUID = field(init=False)

    @property
    def to_is_bsuid(self) -> bool:
        """Say whether the recipient is a business-scoped user id instead of a phone."""
        return not self.to_recipient.startswith("+")


_COLUMNS = (
    "id",
    "org_id",
    "phone_number_id",
    "contact_id",
    "to_recipient",
    "channel",
    "kind",
    "template_name",
    "template_language",
    "payload",
    "reply_to",
    "purpose",
    "expires_at",
    "last_attempt_number",
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch of messages this process alone may send until the lease runs out."""

    messages: Sequence[Claimed]
    more: bool  # whether some lane has, or may have, more
    deadline: float  # providers.base.steady_seconds() after which no call may start


def claim_due(
    free: int,
    *,
    capacity: int | None = None,
    busy: Mapping[int, int] | None = None,
    ceiling: Callable[[PhoneNumber], int] | None = None,
) -> Claim | None:
    """Claim up to ``free`` due messages of numbers that may send; None when there are none.

    ``capacity`` and ``busy`` (calls in flight by number's pk) bound each number's share, and
    ``ceiling`` says how many calls of a number may be in flight at once. Rows another worker
    holds are passed over. Consent, expiry and window are asked after the rows are locked, by
    statements of their own, so that what was committed before is seen.
    """
    begun = steady_seconds()
    # Looked at without a transaction: an idle worker asks these two statements every second.
    now = database.now()
    due = lanes.due(now)
    if not due:
        return None
    with transaction.atomic():
        active = holds.active(now)
        found = lanes.eligible(due)
        holds.place(
            [holding.unreadable(number, now) for number in lanes.unreadable(due, found)], now
        )
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
        rows = _lock_due(turns, now)
        held = _postpone_held_templates(rows, numbers, active, now)
        held |= quiet_hours.postpone([row for row in rows if row.pk not in held], now)
        refusals = _refusals([row for row in rows if row.pk not in held], now)
        _refuse(refusals, now)
        stay = held | {change.message_id for change in refusals}
        going = [row for row in rows if row.pk not in stay]
        claim_id = uuid.uuid4()
        _take(going, claim_id, now)
    more = len(turns) < len(open_lanes) or len(rows) >= sum(turn.most for turn in turns)
    if not rows and not (open_lanes and more):
        return None
    for row in going:
        row.phone_number, row.claim_id = numbers[row.phone_number_id], claim_id
    # A call that starts later could outlive the lease with its connect and read time-outs.
    margin = settings.OUTBOUND_CONNECT_TIMEOUT_SECONDS + settings.OUTBOUND_READ_TIMEOUT_SECONDS
    deadline = begun + settings.OUTBOUND_LEASE_SECONDS - margin
    return Claim(going, more, deadline)


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
            if circuit.take_probe(stopped_by[0], now):
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


def _lock_due(turns: Sequence[Turn], now: datetime) -> list[Claimed]:
    """Lock what each lane may give, the longest due first, by one statement."""
    if not turns:
        return []
    if connection.vendor != "postgresql":
        # Its transaction is the only writer: there is nothing to lock and nobody to pass over.
        return [
            Claimed(*row)
            for turn in turns
            for row in OutboundMessage.objects.due(now)
            .filter(phone_number_id=turn.lane.number_id, priority=turn.lane.priority)
            .order_by("due_at", "id")
            .values_list(*_COLUMNS)[: turn.most]
        ]
    with connection.cursor() as cursor:
        cursor.execute(
            _LOCK_DUE,
            {
                "now": now,
                "numbers": [turn.lane.number_id for turn in turns],
                "priorities": [turn.lane.priority for turn in turns],
                "most": [turn.most for turn in turns],
            },
        )
        rows = [Claimed(*row) for row in cursor.fetchall()]
    for row in rows:
        row.payload = orjson.loads(row.payload)
    return rows


_LOCK_DUE = f"""
SELECT message.* FROM unnest(
    %(numbers)s::bigint[], %(priorities)s::smallint[], %(most)s::int[]
) AS lane (number_id, priority, most)
CROSS JOIN LATERAL (
    SELECT {", ".join(_COLUMNS).replace("payload", "payload::text")} FROM outbound_message
    WHERE status = 'QUEUED' AND phone_number_id = lane.number_id
        AND priority = lane.priority AND due_at <= %(now)s
    ORDER BY due_at, id LIMIT lane.most
    FOR UPDATE SKIP LOCKED
) AS message
"""  # noqa: S608 - built from constants


def _refusals(rows: Sequence[Claimed], now: datetime) -> list[Change]:
    """Return the changes for the messages that must not go any more."""
    answers = ledger.check([_ask(row) for row in rows], now)
    closed = windows.closed([row for row in rows if windows.needs_window(row.kind)], now)
    changes = []
    for row in rows:
        if row.expires_at <= now:
            changes.append(expire(row.pk, now))
        elif not answers[_ask(row)].allowed:
            answer = answers[_ask(row)].status
            changes.append(withdrawals.without_consent(row.pk, row.purpose, answer, now))
        elif row.pk in closed:
            text = "The 24-hour customer service window has closed; send a template instead."
            changes.append(
                Change(
                    row.pk, Cause.RULE, now, Status.FAILED, code=OUTSIDE_SERVICE_WINDOW, text=text
                )
            )
    return changes


def expire(message_id: uuid.UUID, now: datetime) -> Change:
    """Return the change that withdraws a message whose expiry has passed."""
    text = "Its expiry passed before it could be sent."
    return Change(message_id, Cause.EXPIRY, now, Status.CANCELLED, code=EXPIRED, text=text)


def _refuse(changes: Sequence[Change], now: datetime) -> None:
    if changes:
        rows = transitions.lock(change.message_id for change in changes)
        transitions.apply(rows, changes, now=now)


def _ask(row: Claimed) -> ledger.Ask:
    return ledger.Ask(row.contact_id, row.channel, row.purpose)


def _take(rows: Sequence[Claimed], claim_id: uuid.UUID, now: datetime) -> None:
    """Move the locked rows to SENDING: the one move made outside transitions.apply.

    It selects and moves in one step, by the table: QUEUED → SENDING.
    """
    if not rows:
        return
    lease = now + timedelta(seconds=settings.OUTBOUND_LEASE_SECONDS)
    OutboundMessage.objects.filter(pk__among=[row.pk for row in rows], status=Status.QUEUED).update(
        status=Status.SENDING,
        due_at=None,
        claim_id=claim_id,
        lease_expires_at=lease,
        last_attempt_number=F("last_attempt_number") + 1,
        updated_at=now,
    )
    for row in rows:
        row.last_attempt_number += 1
    attempts.start([(row.pk, row.last_attempt_number) for row in rows], claim_id, now)
    transitions.record_events(_claimed(rows, now), now=now)


def _claimed(rows: Iterable[Claimed], now: datetime) -> list[Applied]:
    return [
        Applied(
            Change(
                row.pk, Cause.CLAIM, now, Status.SENDING, attempt_number=row.last_attempt_number
            ),
            row.org_id,
            Status.QUEUED,
            Status.SENDING,
        )
        for row in rows
    ]
