"""The rows of single calls: begun with a claim, finished with an answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from django.db.models import Q

from messaging.models import OutboundAttempt
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


def start(keys: Sequence[Key], claim_id: uuid.UUID, now: datetime) -> None:
    """Write a STARTED row for each message just claimed."""
    fresh = dict.fromkeys(_TEXTS, "") | {
        "claim_id": claim_id,
        "outcome": OutboundAttempt.STARTED,
        "charged": False,
        "started_at": now,
    }
    database.insert_rows(
        OutboundAttempt,
        [{"message_id": pk, "attempt_number": number, **fresh} for pk, number in keys],
    )


def load(keys: Iterable[Key]) -> dict[Key, OutboundAttempt]:
    """Return the attempts; their messages must be locked, which locks these too."""
    wanted = set(keys)
    found = OutboundAttempt.objects.filter(
        message_id__in={message_id for message_id, _number in wanted},
        attempt_number__in={number for _message_id, number in wanted},
    )
    rows = {(row.message_id, row.attempt_number): row for row in found}
    return {key: row for key, row in rows.items() if key in wanted}


def load_by_wamid(wamids: Iterable[str]) -> list[OutboundAttempt]:
    """Return the attempts Meta answered with one of these ids, with their messages."""
    return list(
        OutboundAttempt.objects.filter(
            ~Q(provider_message_id=""), provider_message_id__in=set(wamids)
        )
    )


def finish(
    rows: Mapping[Key, OutboundAttempt],
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
    finished: list[OutboundAttempt] = []
    for key, result in answers.items():
        row = rows.get(key)
        if row is None or not _awaits_answer(row):
            continue
        counts = result.outcome in CHARGED and key not in free
        charges[key] = int(counts and not row.charged)
        _store(row, result, now)
        row.charged = row.charged or counts
        finished.append(row)
    write(finished)
    return charges


def prove(row: OutboundAttempt, receipt: Receipt) -> None:
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


def write(rows: Sequence[OutboundAttempt]) -> None:
    """Write what calls and receipts change on attempts, in one statement."""
    database.update_rows(
        OutboundAttempt,
        [{"pk": row.pk} | {name: getattr(row, name) for name in _WRITTEN} for row in rows],
    )


_WRITTEN = (
    "outcome",
    "charged",
    "finished_at",
    "duration_ms",
    "http_status",
    *_TEXTS,
)


def _awaits_answer(row: OutboundAttempt) -> bool:
    return row.finished_at is None or row.outcome == Outcome.UNKNOWN


def _store(row: OutboundAttempt, result: Result, now: datetime) -> None:
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
