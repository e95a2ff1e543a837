"""The rows of single calls: begun with a claim, finished with an answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, F, Q, QuerySet, Value

from messaging.models import OutboundAttempt, OutboundMessage
from messaging.outcomes import CHARGED
from messaging.providers.base import Outcome, Receipt, Result
from orgs import database

# The statuses we know, in the order of a delivery; another word is kept and moves nothing.
STATUSES = ("sent", "failed", "delivered", "read", "played")

Key = tuple[uuid.UUID, int]  # message id, attempt number

_TEXTS = (
    "provider_message_id",
    "error_code",
    "error_message",
    "trace_id",
    "excerpt",
    "receipts",
)


@dataclass(slots=True)
class Attempt:
    """A stored attempt; far cheaper to make than a model instance."""

    pk: int
    message_id: uuid.UUID
    attempt_number: int
    outcome: str
    charged: bool
    finished_at: datetime | None
    duration_ms: int | None
    http_status: int | None
    provider_message_id: str
    error_code: str
    error_message: str
    trace_id: str
    excerpt: str
    receipts: str

    @property
    def key(self) -> Key:
        """Return what identifies it."""
        return self.message_id, self.attempt_number

    def has_receipt(self, status: str) -> bool:
        """Say whether a status of this name has come for this attempt."""
        return status in self.receipts.split(",")


_COLUMNS = tuple(field.name for field in fields(Attempt))
# What an answer writes, and what a receipt writes.
_ANSWERED = tuple(name for name in _COLUMNS if name not in {"pk", "message_id", "attempt_number"})
_PROVED = ("outcome", "charged", "provider_message_id", "receipts")


def start(claimed: QuerySet[OutboundMessage], now: datetime) -> None:
    """Write a STARTED row for each message just claimed."""
    database.insert_from(
        OutboundAttempt,
        {
            "message_id": F("pk"),
            "attempt_number": F("last_attempt_number"),
            "claim_id": F("claim_id"),
            "outcome": Value(OutboundAttempt.STARTED),
            "charged": Value(value=False),
            "started_at": Value(now, DateTimeField()),
            **{name: Value("") for name in _TEXTS},
        },
        claimed,
    )


def load(keys: Iterable[Key]) -> dict[Key, Attempt]:
    """Return the attempts; their messages must be locked, which locks these too."""
    wanted = set(keys)
    found = _select(
        message_id__among={message_id for message_id, _number in wanted},
        attempt_number__in={number for _message_id, number in wanted},
    )
    return {row.key: row for row in found if row.key in wanted}


def load_by_wamid(wamids: Iterable[str]) -> list[Attempt]:
    """Return the attempts Meta answered with one of these ids."""
    return _select(~Q(provider_message_id=""), provider_message_id__in=set(wamids))


def _select(*conditions: Q, **filters: Any) -> list[Attempt]:
    rows = OutboundAttempt.objects.filter(*conditions, **filters)
    return [Attempt(*row) for row in rows.values_list(*_COLUMNS)]


def finish(
    rows: Mapping[Key, Attempt],
    answers: Mapping[Key, Result],
    now: datetime,
    *,
    free: AbstractSet[Key] = frozenset(),
) -> dict[Key, int]:
    """Store the answers and return what each charges: 1, or 0 when free or charged before.

    ``free`` names the attempts that count against nobody, as those in an outage do.

    An answer is evidence and is kept whatever became of the message meanwhile; it may
    replace UNKNOWN, never an earlier answer, nor what a receipt has proved.
    """
    charges: dict[Key, int] = {}
    finished: list[Attempt] = []
    for key, result in answers.items():
        row = rows.get(key)
        if row is None or not _awaits_answer(row):
            continue
        counts = result.outcome in CHARGED and key not in free
        charges[key] = int(counts and not row.charged)
        _store(row, result, now)
        row.charged = row.charged or counts
        finished.append(row)
    _write(finished, _ANSWERED)
    return charges


def prove(row: Attempt, receipt: Receipt) -> None:
    """Note on the attempt what a receipt proves: Meta has accepted it, under this wamid.

    The answer of the call may still come; it then adds how the call went.
    """
    row.provider_message_id = row.provider_message_id or receipt.provider_message_id[:255]
    if row.outcome in {OutboundAttempt.STARTED, Outcome.UNKNOWN}:
        row.outcome = Outcome.ACCEPTED.value
    row.charged = True
    if receipt.status in STATUSES and not row.has_receipt(receipt.status):
        # Sorted, so that the row does not depend on the order of arrival.
        row.receipts = ",".join(sorted({*filter(None, row.receipts.split(",")), receipt.status}))


def write_proofs(rows: Sequence[Attempt]) -> None:
    """Write what receipts change on attempts, in one statement."""
    _write(rows, _PROVED)


def _write(rows: Sequence[Attempt], names: Sequence[str]) -> None:
    database.update_rows(
        OutboundAttempt,
        [{"pk": row.pk} | {name: getattr(row, name) for name in names} for row in rows],
    )


def _awaits_answer(row: Attempt) -> bool:
    return row.finished_at is None or row.outcome == Outcome.UNKNOWN


def _store(row: Attempt, result: Result, now: datetime) -> None:
    proved = row.outcome == Outcome.ACCEPTED
    row.finished_at = now
    row.duration_ms = result.duration_ms
    row.http_status = result.http_status
    row.trace_id = result.trace_id[:64]
    row.excerpt = result.excerpt
    if proved:
        return
    row.outcome = result.outcome.value
    row.provider_message_id = result.provider_message_id[:255]
    row.error_code = result.error_code[:32]
    row.error_message = result.error_message[:500]
