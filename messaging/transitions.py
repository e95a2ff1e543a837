"""The only writer of a message's status: lock, ask the table, write all rows at once."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db.models import DateTimeField, F, QuerySet, Value

from messaging import counting, states
from messaging.counting import Standing
from messaging.models import MessageEvent, OutboundMessage
from messaging.states import Cause, Status
from orgs import database, tallies
from orgs.tallies import Line

logger = logging.getLogger(__name__)

ONE_SECOND = timedelta(seconds=1)  # the resolution of Meta's event times

# What a change may write; every row of a batch writes all of them, in one statement.
_WRITTEN = (
    "status",
    "due_at",
    "claim_id",
    "lease_expires_at",
    "attempt_count",
    "max_attempts",
    "provider_message_id",
    "error_code",
    "error_message",
    "accepted_at",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
    "pricing",
    "updated_at",
)


@dataclass(slots=True)
class Row:
    """What a change asks of a locked message, and may write; cheaper than a model instance."""

    pk: uuid.UUID
    org_id: int
    phone_number_id: int
    contact_id: int
    last_attempt_number: int
    template_name: str
    template_language: str
    to_recipient: str
    channel: str
    status: str
    due_at: datetime | None
    claim_id: uuid.UUID | None
    lease_expires_at: datetime | None
    attempt_count: int
    max_attempts: int
    provider_message_id: str
    error_code: str
    error_message: str
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    pricing: str
    updated_at: datetime | None = None  # written, never asked

    @property
    def is_erased(self) -> bool:
        """Say whether its person was erased: then nothing that names them is written again."""
        return not self.to_recipient


_READ = tuple(field.name for field in fields(Row) if field.name != "updated_at")


@dataclass(slots=True)  # not frozen: that would make each of its many fields slow to set
class Change:
    """What happened to a message: facts that always hold, and a move the table may refuse."""

    message_id: uuid.UUID
    cause: Cause
    at: datetime  # when it happened
    to: Status | None = None  # None: facts only
    kind: str = ""  # its name in the timeline; the new status by default
    # Guards of the move.
    claim_id: uuid.UUID | None = None  # only while the message still carries this claim
    latest_attempt: int | None = None  # only while no later attempt has begun
    from_codes: frozenset[str] | None = None  # only while the message failed with one of these
    # Written by the move.
    due_at: datetime | None = None
    wait_until: datetime | None = None  # stay in SENDING, waiting for evidence until then
    extra_attempts: int = 0
    retries: bool = False  # back to the queue after an attempt that counted
    code: str = ""
    text: str = ""
    failed_at: datetime | None = None  # of a failure that is restored; None: now
    # Facts, written whatever the table says; times only ever move to the earlier one.
    charge: int = 0
    provider_message_id: str = ""
    accepted_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    pricing: str = ""
    # For the timeline.
    note: bool = False  # worth a line even if it changes nothing
    attempt_number: int | None = None
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that was really made."""

    change: Change
    org_id: int
    old: Status | None  # None: the message is new
    new: Status


Rows = dict[uuid.UUID, Row]


def lock(message_ids: Iterable[uuid.UUID]) -> Rows:
    """Lock the messages, in id order so that two batches never deadlock; needs a transaction."""
    rows = (
        OutboundMessage.objects.select_for_update()
        .filter(pk__among=set(message_ids))
        .order_by("pk")
        .values_list(*_READ)
    )
    return {row[0]: Row(*row) for row in rows}


def apply(rows: Rows, changes: Sequence[Change], *, now: datetime) -> list[Applied]:
    """Make the changes on locked rows and write rows and timeline; return what was made.

    Changes of one message are taken in the given order. A move that the table or a guard
    refuses is left out and counted; the facts that come with it are kept all the same.
    """
    made: list[Applied] = []
    touched: Rows = {}
    counted: list[Line] = []
    refused = 0
    for change in changes:
        row = rows.get(change.message_id)
        if row is None:
            continue
        before, old = Standing.of(row), Status(row.status)
        facts = _keep_facts(row, change)
        moved = _may_move(row, change)
        if moved:
            _move(row, change)
        refused += change.to is not None and not moved and change.to != old
        if moved or facts or change.note:
            row.updated_at = now
            touched[row.pk] = row
            made.append(Applied(change, row.org_id, old, Status(row.status)))
            counted += counting.difference(before, row, retries=change.retries)
            counting.note_delivery(before, row)
    if refused:
        logger.info("Moves refused by the table or a guard", extra={"count": refused})
    database.update_rows(OutboundMessage, [_values(row) for row in touched.values()])
    record_events(made, now=now)
    tallies.add(counted)
    return made


def record_events(made: Sequence[Applied], *, now: datetime) -> None:
    """Write one line of timeline for each change made."""
    database.insert_rows(MessageEvent, [_line(item, now) for item in made])


def record_claim(claimed: QuerySet[OutboundMessage], now: datetime) -> None:
    """Write the line of timeline of messages just claimed, without reading them."""
    at = Value(now, DateTimeField())
    database.insert_from(
        MessageEvent,
        {
            "message_id": F("pk"),
            "org_id": F("org_id"),
            "at": at,
            "recorded_at": at,
            "kind": Value(Status.SENDING.lower()),
            "from_status": Value(Status.QUEUED),
            "to_status": Value(Status.SENDING),
            "cause": Value(Cause.CLAIM),
            "attempt_number": F("last_attempt_number"),
            **{name: Value("") for name in ("code", "actor", "reason")},
        },
        claimed,
    )


def _line(item: Applied, now: datetime) -> dict[str, object]:
    change = item.change
    moved = item.old != item.new
    return {
        "message_id": change.message_id,
        "org_id": item.org_id,
        "at": change.at,
        "recorded_at": now,
        "kind": change.kind or item.new.lower(),
        "from_status": (item.old or "") if moved else "",
        "to_status": item.new if moved else "",
        "cause": change.cause,
        "attempt_number": change.attempt_number,
        "code": change.code,
        "actor": change.actor,
        "reason": change.reason,
    }


def _may_move(row: Row, change: Change) -> bool:
    if change.to is None:
        return False
    if change.claim_id is not None and row.claim_id != change.claim_id:
        return False
    if change.latest_attempt is not None and row.last_attempt_number != change.latest_attempt:
        return False
    if (
        change.from_codes is not None
        and row.status == Status.FAILED
        and row.error_code not in change.from_codes
    ):
        return False
    waits_on = change.wait_until is not None and row.status == change.to == Status.SENDING
    return waits_on or states.can_move(row.status, change.to)


def _move(row: Row, change: Change) -> None:
    status = Status(change.to or row.status)
    row.status = status
    row.due_at = change.due_at if status == Status.QUEUED else None
    if status == Status.SENDING:
        row.lease_expires_at = change.wait_until
    else:
        row.claim_id = row.lease_expires_at = None
    row.max_attempts += change.extra_attempts
    row.error_code = change.code
    row.error_message = change.text[:500]
    row.failed_at = (change.failed_at or change.at) if status == Status.FAILED else None


def _keep_facts(row: Row, change: Change) -> bool:
    """Merge what is true whatever the status; order and repetition make no difference."""
    before = _fact_values(row)
    row.attempt_count += change.charge
    # A requeue may have been overtaken by the answer to an earlier call.
    row.max_attempts = max(row.max_attempts, row.attempt_count)
    if change.provider_message_id:
        row.provider_message_id = change.provider_message_id
    # Should Meta ever tell two, the same one stays in any order.
    row.pricing = max(row.pricing, change.pricing)
    row.accepted_at = _earlier(row.accepted_at, change.accepted_at)
    # Whoever has it was sent it: a later stage proves the earlier ones.
    row.read_at = _earlier(row.read_at, change.read_at)
    row.delivered_at = _earlier(row.delivered_at, change.delivered_at, change.read_at)
    row.sent_at = _earlier(
        row.sent_at, change.accepted_at, change.sent_at, change.delivered_at, change.read_at
    )
    row.sent_at = _refined(row.sent_at, row.accepted_at)
    row.delivered_at = _refined(row.delivered_at, row.accepted_at)
    row.read_at = _refined(row.read_at, row.accepted_at)
    return _fact_values(row) != before


def _fact_values(row: Row) -> tuple[object, ...]:
    return (
        row.attempt_count,
        row.provider_message_id,
        row.accepted_at,
        row.sent_at,
        row.delivered_at,
        row.read_at,
        row.pricing,
    )


def _earlier(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _refined(time: datetime | None, accepted_at: datetime | None) -> datetime | None:
    """Return the time, but not the cut-off second before the moment of acceptance.

    Meta's times are whole seconds: a delivery in the second of the acceptance would seem to lie
    before it.
    """
    if time is None or accepted_at is None:
        return time
    return accepted_at if timedelta(0) < accepted_at - time < ONE_SECOND else time


def _values(row: Row) -> Mapping[str, object]:
    return {"pk": row.pk} | {name: getattr(row, name) for name in _WRITTEN}
