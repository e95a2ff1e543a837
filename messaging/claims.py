"""Taking due messages: lock, ask the rules again, claim what may go."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef

from consent import ledger
from messaging import attempts, holding, transitions, windows
from messaging.models import OutboundMessage, PhoneNumber
from messaging.models.messages import CONSENT_REVOKED, EXPIRED, OUTSIDE_SERVICE_WINDOW
from messaging.providers.base import steady_seconds
from messaging.states import Cause, Status
from messaging.transitions import Applied, Change
from orgs import database
from ratelimit import holds


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch of messages this process alone may send until the lease runs out."""

    claim_id: uuid.UUID
    messages: Sequence[OutboundMessage]  # with phone_number, its account and app loaded
    deadline: float  # providers.base.steady_seconds() after which no call may start


def claim_due(limit: int) -> Claim | None:
    """Claim up to ``limit`` due messages of numbers that may send; None when there are none.

    Rows another worker holds are passed over. Consent, expiry and window are asked after the
    rows are locked, by statements of their own, so that what was committed before is seen.
    """
    begun = steady_seconds()
    with transaction.atomic():
        now = database.now()
        numbers = _eligible_numbers(now)
        rows = _lock_due(numbers, limit, now)
        if not rows:
            return None
        refusals = _refusals(rows, now)
        _refuse(refusals, now)
        refused = {change.message_id for change in refusals}
        going = [row for row in rows if row.pk not in refused]
        claim_id = uuid.uuid4()
        _take(going, claim_id, now)
    # A call that starts later could outlive the lease with its connect and read time-outs.
    margin = settings.OUTBOUND_CONNECT_TIMEOUT_SECONDS + settings.OUTBOUND_READ_TIMEOUT_SECONDS
    deadline = begun + settings.OUTBOUND_LEASE_SECONDS - margin
    for row in going:
        row.phone_number = numbers[row.phone_number_id]
    return Claim(claim_id, going, deadline)


def _eligible_numbers(now: datetime) -> dict[int, PhoneNumber]:
    """Return the active numbers with due work and no hold on them or above them."""
    due = OutboundMessage.objects.due(now).filter(phone_number=OuterRef("pk"))
    numbers = PhoneNumber.objects.filter(
        Exists(due), is_active=True, org__is_active=True
    ).select_related("account__app", "org")
    held = holds.active(now)
    return {number.pk: number for number in numbers if not held.keys() & holding.scopes(number)}


def _lock_due(
    numbers: Mapping[int, PhoneNumber], limit: int, now: datetime
) -> list[OutboundMessage]:
    """Lock due rows, number by number; with several numbers none takes more than half."""
    turns = list(numbers)
    random.shuffle(turns)
    share = limit if len(turns) == 1 else max(1, limit // 2)
    rows: list[OutboundMessage] = []
    for number in turns:
        wanted = min(share, limit - len(rows))
        if wanted <= 0:
            break
        rows += (
            OutboundMessage.objects.select_for_update(skip_locked=True, of=("self",))
            .due(now)
            .filter(phone_number=number)
            .order_by("priority", "due_at", "id")[:wanted]
        )
    return rows


def _refusals(rows: Sequence[OutboundMessage], now: datetime) -> list[Change]:
    """Return the changes for the messages that must not go any more."""
    answers = ledger.check([_ask(row) for row in rows], now)
    closed = windows.closed([row for row in rows if windows.needs_window(row.kind)], now)
    changes = []
    for row in rows:
        if row.expires_at <= now:
            changes.append(expire(row.pk, now))
        elif not answers[_ask(row)].allowed:
            text = f"Consent for {row.purpose} is {answers[_ask(row)].status}."
            changes.append(
                Change(
                    row.pk, Cause.CONSENT, now, Status.CANCELLED, code=CONSENT_REVOKED, text=text
                )
            )
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


def _ask(row: OutboundMessage) -> ledger.Ask:
    return ledger.Ask(row.contact_id, row.channel, row.purpose)


def _take(rows: Sequence[OutboundMessage], claim_id: uuid.UUID, now: datetime) -> None:
    """Move the locked rows to SENDING: the one move made outside transitions.apply.

    It selects and moves in one step, by the table: QUEUED → SENDING.
    """
    if not rows:
        return
    lease = now + timedelta(seconds=settings.OUTBOUND_LEASE_SECONDS)
    OutboundMessage.objects.filter(pk__in=[row.pk for row in rows], status=Status.QUEUED).update(
        status=Status.SENDING,
        due_at=None,
        claim_id=claim_id,
        lease_expires_at=lease,
        last_attempt_number=F("last_attempt_number") + 1,
        updated_at=now,
    )
    for row in rows:
        row.status, row.claim_id, row.lease_expires_at = Status.SENDING, claim_id, lease
        row.last_attempt_number += 1
    attempts.start(rows, claim_id, now)
    transitions.record_events(_claimed(rows, now), now=now)


def _claimed(rows: Iterable[OutboundMessage], now: datetime) -> list[Applied]:
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
