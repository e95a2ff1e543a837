"""Folding the provider's statuses into messages: any order, repetition or split, one end."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from consent import suspects
from consent.suspects import Sign
from messaging import attempts, holding, limits, outcomes, transitions
from messaging.attempts import Attempt
from messaging.limits import Refusal
from messaging.models import PhoneNumber, WebhookEvent
from messaging.models.messages import DELIVERY_UNKNOWN
from messaging.outcomes import Trouble
from messaging.providers.base import Outcome, Receipt
from messaging.providers.whatsapp import callback
from messaging.states import Cause, Status
from messaging.transitions import Change
from ratelimit import holds
from ratelimit.holds import HoldRequest

Result = WebhookEvent.Result

_RANK = {status: rank for rank, status in enumerate(attempts.STATUSES, start=1)}

# The statuses that show that the person has the message.
_REACHED = frozenset({"delivered", "read", "played"})

# A sent receipt revives a message only when we gave it up without evidence.
_REVIVABLE = frozenset({DELIVERY_UNKNOWN})


@dataclass(frozen=True, slots=True)
class StatusOutcome:
    """What became of one receipt."""

    result: str  # WebhookEvent.Result
    message_id: uuid.UUID | None = None
    contact_id: int | None = None  # whom the message went to


def apply(received: Sequence[tuple[Receipt, PhoneNumber]], now: datetime) -> list[StatusOutcome]:
    """Fold the receipts into their messages, by a fixed number of statements; in a transaction.

    An attempt is found by our own id in the echoed data, else by Meta's. A receipt whose
    number or wamid contradicts the attempt's is not matched.
    """
    if not received:
        return []
    keys = _keys([receipt for receipt, _number in received])
    wanted = {key for key in keys if key is not None}
    fold = _Fold(transitions.lock(message_id for message_id, _number in wanted), now)
    fold.attempts = attempts.load(wanted)  # after the lock on their messages
    # In the order of events the timeline reads naturally; the end is the same in any order.
    for place in sorted(range(len(received)), key=lambda at: _event_order(received[at][0])):
        fold.take(place, keys[place], *received[place])
    return fold.finish(len(received))


def _event_order(receipt: Receipt) -> tuple[datetime, int]:
    return receipt.at, _RANK.get(receipt.status, 0)


def _keys(receipts: Sequence[Receipt]) -> list[attempts.Key | None]:
    keys = [_our_key(receipt.callback_data) for receipt in receipts]
    unknown = {
        receipt.provider_message_id
        for receipt, key in zip(receipts, keys, strict=True)
        if key is None and receipt.provider_message_id
    }
    if not unknown:
        return keys
    by_wamid = {
        attempt.provider_message_id: attempt.key for attempt in attempts.load_by_wamid(unknown)
    }
    return [
        key or by_wamid.get(receipt.provider_message_id)
        for receipt, key in zip(receipts, keys, strict=True)
    ]


def _our_key(callback_data: str) -> attempts.Key | None:
    data = callback.decode(callback_data)
    if data is None or data.instance != settings.OUTBOUND_INSTANCE:
        return None
    try:
        return uuid.UUID(data.message_id), data.attempt
    except ValueError:
        return None


class _Fold:
    """The locked rows of one batch while its receipts are folded into them."""

    def __init__(self, rows: transitions.Rows, now: datetime) -> None:
        self.rows = rows
        self.now = now
        self.policy = outcomes.current_policy()
        self.attempts: Mapping[attempts.Key, Attempt] = {}
        self.touched: dict[attempts.Key, Attempt] = {}
        self.changes: dict[int, Change] = {}  # by the receipt's place in the batch
        self.pauses: dict[int, list[HoldRequest]] = {}
        self.refusals: dict[int, Refusal] = {}
        self.signs: list[Sign] = []
        self.unknown: set[int] = set()  # places of receipts with a word we do not know

    def take(
        self, place: int, key: attempts.Key | None, receipt: Receipt, number: PhoneNumber
    ) -> None:
        """Turn one receipt into a change; leave it out when it matches nothing."""
        if key is None:
            return
        row, attempt = self.rows.get(key[0]), self.attempts.get(key)
        if row is None or attempt is None or not _agrees(row, attempt, receipt, number):
            return
        if row.is_erased:
            receipt = receipt.without_person()
        change = self.changes[place] = _facts(row, attempt, receipt)
        if receipt.status == "failed":
            self._take_failure(place, change, receipt, number)
        elif receipt.status == "sent":
            # A late sent of an attempt that has failed must not swallow its retry.
            change.to = None if attempt.has_receipt("failed") else Status.SENT
            change.from_codes = _REVIVABLE
        elif receipt.status in _RANK:
            change.to = Status.DELIVERED
        else:
            self.unknown.add(place)
        if not attempt.has_receipt(receipt.status):
            self._take_sign(row.contact_id, receipt)
        attempts.prove(attempt, receipt)
        self.touched[key] = attempt

    def finish(self, count: int) -> list[StatusOutcome]:
        """Write everything; return what became of each receipt, by place."""
        made = transitions.apply(self.rows, list(self.changes.values()), now=self.now)
        attempts.write_proofs(list(self.touched.values()))
        effective = {id(item.change) for item in made}
        moved = {id(item.change) for item in made if item.old != item.new}
        self._stop({place for place, change in self.changes.items() if id(change) in moved})
        suspects.follow(self.signs, self.now)
        return [self._outcome(place, effective) for place in range(count)]

    def _stop(self, places: Collection[int]) -> None:
        """Have scopes and limits follow the failures that counted."""
        pauses = [pause for place in places for pause in self.pauses.get(place, [])]
        refusals = [self.refusals[place] for place in places if place in self.refusals]
        holds.place(pauses, self.now)
        limits.note_refusals(refusals, pauses, self.now)

    def _outcome(self, place: int, effective: set[int]) -> StatusOutcome:
        change = self.changes.get(place)
        if change is None:
            return StatusOutcome(Result.UNMATCHED)
        result = Result.APPLIED if id(change) in effective else Result.UNCHANGED
        if place in self.unknown:
            result = Result.KEPT
        row = self.rows[change.message_id]
        if row.is_erased:
            return StatusOutcome(Result.ERASED, row.pk)
        return StatusOutcome(result, row.pk, row.contact_id)

    def _take_sign(self, contact_id: int, receipt: Receipt) -> None:
        """Note whether the person was reached, once for each attempt and status."""
        if receipt.status in _REACHED:
            self.signs.append(Sign(contact_id, reached=True))
        elif receipt.status == "failed" and receipt.rule and receipt.rule.undeliverable:
            self.signs.append(Sign(contact_id, reached=False))

    def _take_failure(
        self, place: int, change: Change, receipt: Receipt, number: PhoneNumber
    ) -> None:
        row = self.rows[change.message_id]
        rule = receipt.rule
        trouble = Trouble(
            rule.outcome if rule else Outcome.REJECTED,
            receipt.error_code or "FAILED",
            receipt.error_message or "The provider reported a failure without a code.",
            rule,
        )
        verdict = outcomes.after_failed_receipt(row, trouble, self.policy, self.now)
        # Only the latest attempt's failure counts, and only while nothing better is known.
        waiting = row.status in {Status.SENDING, Status.SENT}
        change.to = verdict.to if waiting else None
        change.latest_attempt = change.attempt_number
        change.due_at = verdict.due_at
        change.retries = trouble.outcome == Outcome.RETRY
        change.code = verdict.code[:32]
        change.text = verdict.text
        self.pauses[place] = holding.pauses_for(row, number, verdict)
        if rule is not None and rule.outcome == Outcome.THROTTLED:
            self.refusals[place] = Refusal(number, row.contact_id, rule)


def _agrees(row: transitions.Row, attempt: Attempt, receipt: Receipt, number: PhoneNumber) -> bool:
    """Say whether the receipt can be about this attempt: same number, no other wamid bound."""
    if row.phone_number_id != number.pk:
        return False
    bound = attempt.provider_message_id
    return not bound or not receipt.provider_message_id or bound == receipt.provider_message_id


def _facts(row: transitions.Row, attempt: Attempt, receipt: Receipt) -> Change:
    """Return the change with what the receipt proves, whatever the status of the message."""
    at = receipt.at
    return Change(
        row.pk,
        Cause.RECEIPT,
        at,
        kind=receipt.status[:32],
        charge=0 if attempt.charged else 1,
        note=receipt.status in _RANK and not attempt.has_receipt(receipt.status),
        provider_message_id=receipt.provider_message_id[:255],
        attempt_number=attempt.attempt_number,
        sent_at=at if receipt.status == "sent" else None,
        delivered_at=at if receipt.status == "delivered" else None,
        read_at=at if receipt.status in {"read", "played"} else None,
        pricing=receipt.pricing,
    )
