"""The ledger: asking for consent and recording decisions, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from consent.models import Consent, ConsentEvent, Contact, Decision, Source
from orgs import database
from orgs.models import Organization
from orgs.problems import FieldProblem, Problem

EXPIRED = "EXPIRED"
MISSING = "MISSING"
# The only answer that allows to write.
ALLOWED = Decision.GRANTED.value


@dataclass(frozen=True, slots=True)
class Ask:
    """May we write to this contact, this way, for this purpose?"""

    contact_id: int
    channel: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer and what it rests on."""

    allowed: bool
    status: str  # GRANTED, DENIED, REVOKED, EXPIRED or MISSING


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision to record."""

    contact_id: int
    channel: str
    purpose: str
    source: str
    actor: str
    occurred_at: datetime
    proof: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None

    @property
    def ask(self) -> Ask:
        """Return the question this decision answers."""
        return Ask(self.contact_id, self.channel, self.purpose)


def check(asks: Sequence[Ask], at: datetime) -> dict[Ask, Answer]:
    """Answer every question, by one query whatever their number."""
    if not asks:
        return {}
    rows = answers(at).filter(
        contact_id__among={ask.contact_id for ask in asks},
        channel__in={ask.channel for ask in asks},
        purpose__in={ask.purpose for ask in asks},
    )
    known = {
        Ask(contact, channel, purpose): Answer(allowed=answer == ALLOWED, status=answer)
        for contact, channel, purpose, answer in rows
    }
    missing = Answer(allowed=False, status=MISSING)
    return {ask: known.get(ask, missing) for ask in asks}


def answers(at: datetime | Combinable) -> QuerySet[Consent, tuple[int, str, str, str]]:
    """Return who, how, what for, and the answer at that moment: the one rule of consent.

    Statements that ask for consent embed this query, with the database's clock as ``at``.
    """
    answer = Case(
        When(~Q(status=Decision.GRANTED), then=F("status")),
        When(expires_at__lte=at, then=Value(EXPIRED)),
        default=Value(ALLOWED),
    )
    return Consent.objects.annotate(answer=answer).values_list(
        "contact_id", "channel", "purpose", "answer"
    )


def grant(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people agree.

    Raises Problem 409 ``person_opted_out`` when one of them has said STOP and the grant is
    not their own and not dated later.
    """
    return _record(org, entries, Decision.GRANTED)


def deny(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people were asked and said no."""
    return _record(org, entries, Decision.DENIED)


def revoke(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people take their agreement back."""
    return _record(org, entries, Decision.REVOKED)


@transaction.atomic
def _record(org: Organization, entries: Sequence[Entry], decision: Decision) -> list[Consent]:
    """Append the decisions; the latest by the time of deciding is the present answer.

    A decision older than the present one goes into the history only. Repeating a decision
    with the same source, proof, expiry and time records nothing.
    """
    if not entries:
        return []
    _refuse_strangers(org, entries)
    _create_missing(org, entries, decision)
    rows = _lock(entries)
    fresh = _without_history(rows.values())
    events: list[ConsentEvent] = []
    changed: dict[int, Consent] = {}
    for entry in entries:
        row = rows[entry.ask]
        is_new = row.pk in fresh and row.pk not in changed
        if not is_new and _is_repetition(row, entry, decision):
            continue
        if not is_new and decision == Decision.GRANTED:
            _refuse_undoing_stop(row, entry)
        events.append(_event(org, row, entry, decision))
        if is_new or entry.occurred_at >= row.decided_at:
            _take_over(row, entry, decision)
            changed[row.pk] = row
    _write(changed.values())
    ConsentEvent.objects.bulk_create(events)
    return [rows[entry.ask] for entry in entries]


def _refuse_strangers(org: Organization, entries: Sequence[Entry]) -> None:
    ids = {entry.contact_id for entry in entries}
    if Contact.objects.of(org).filter(pk__in=ids).count() != len(ids):
        message = "A contact belongs to another organisation or does not exist."
        raise ValueError(message)


def _create_missing(org: Organization, entries: Sequence[Entry], decision: Decision) -> None:
    """Insert a row for each question that has none; what it says is filled in under the lock."""
    Consent.objects.bulk_create(
        (
            Consent(
                org=org,
                contact_id=entry.contact_id,
                channel=entry.channel,
                purpose=entry.purpose,
                status=decision,
                source=entry.source,
                decided_at=entry.occurred_at,
            )
            for entry in {entry.ask: entry for entry in entries}.values()
        ),
        ignore_conflicts=True,
    )


def _without_history(rows: Iterable[Consent]) -> set[int]:
    """Return the rows no decision has been recorded for: ours, just inserted."""
    ids = {row.pk for row in rows}
    return ids - set(
        ConsentEvent.objects.filter(consent_id__in=ids).values_list("consent_id", flat=True)
    )


def _rows(entries: Sequence[Entry]) -> Any:
    return Consent.objects.filter(
        contact_id__in={entry.contact_id for entry in entries},
        channel__in={entry.channel for entry in entries},
        purpose__in={entry.purpose for entry in entries},
    )


def _lock(entries: Sequence[Entry]) -> dict[Ask, Consent]:
    rows = _rows(entries).select_for_update().order_by("pk")
    return {Ask(row.contact_id, row.channel, row.purpose): row for row in rows}


def _is_repetition(row: Consent, entry: Entry, decision: Decision) -> bool:
    return (
        row.status == decision
        and row.source == entry.source
        and row.expires_at == entry.expires_at
        and row.proof == entry.proof
        and row.decided_at == entry.occurred_at
    )


def _refuse_undoing_stop(row: Consent, entry: Entry) -> None:
    """A STOP by the person is undone by their own START, or by what they agreed to later."""
    stopped = row.status == Decision.REVOKED and row.source in {Source.PERSON, Source.PROVIDER}
    by_person = entry.source == Source.PERSON
    later_proof = bool(entry.proof) and entry.occurred_at > row.decided_at
    if stopped and not by_person and not later_proof:
        detail = (
            "This person has asked for no more messages. Only their own START, or a proof of "
            "agreement dated later, opens the way again."
        )
        raise Problem(
            409,
            "person_opted_out",
            "The person has opted out",
            detail,
            [FieldProblem("proof", "person_opted_out", detail)],
        )


def _take_over(row: Consent, entry: Entry, decision: Decision) -> None:
    row.status = decision
    row.expires_at = entry.expires_at
    row.source = entry.source
    row.proof = dict(entry.proof)
    row.decided_at = entry.occurred_at


def _event(org: Organization, row: Consent, entry: Entry, decision: Decision) -> ConsentEvent:
    return ConsentEvent(
        org=org,
        consent=row,
        status=decision,
        expires_at=entry.expires_at,
        source=entry.source,
        actor=entry.actor[:64],
        proof=dict(entry.proof),
        occurred_at=entry.occurred_at,
    )


def _write(rows: Iterable[Consent]) -> None:
    now = database.now()
    database.update_rows(
        Consent,
        [
            {
                "pk": row.pk,
                "status": row.status,
                "expires_at": row.expires_at,
                "source": row.source,
                "proof": row.proof,
                "decided_at": row.decided_at,
                "updated_at": now,
            }
            for row in rows
        ],
    )
