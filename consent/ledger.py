"""The ledger: asking for consent and recording decisions, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import OperationalError, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from consent import history
from consent.models import Consent, ConsentEvent, Contact, Decision, Source
from orgs import database
from orgs.models import Organization
from orgs.problems import FieldProblem, Problem

EXPIRED = "EXPIRED"
MISSING = "MISSING"
# The only answer that allows to write.
ALLOWED = Decision.GRANTED.value
# The purpose of our own answer to what a person has just written, such as "you are unsubscribed":
# asked for by the writing itself. No client can choose it.
REPLY = "reply"


class Ask(NamedTuple):
    """May we write to this contact, this way, for this purpose?"""

    contact_id: int
    channel: str
    purpose: str


class Answer(NamedTuple):
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
    known |= {ask: Answer(allowed=True, status=ALLOWED) for ask in asks if ask.purpose == REPLY}
    return {ask: known.get(ask, missing) for ask in asks}


def answers(at: datetime | Combinable) -> QuerySet[Consent, tuple[int, str, str, str]]:
    """Return who, how, what for, and the answer at that moment: the one rule of consent.

    Statements that ask for consent embed this query, with the database's clock as ``at``.
    """
    return Consent.objects.annotate(answer=_answer(at)).values_list(
        "contact_id", "channel", "purpose", "answer"
    )


def allows(at: datetime | Combinable) -> Q:
    """Return the same rule as a condition on rows with ``contact``, ``channel`` and ``purpose``."""
    granted = Consent.objects.annotate(answer=_answer(at)).filter(
        contact_id=OuterRef("contact_id"),
        channel=OuterRef("channel"),
        purpose=OuterRef("purpose"),
        answer=ALLOWED,
    )
    return Q(purpose=REPLY) | Q(Exists(granted))


def _answer(at: datetime | Combinable) -> Case:
    return Case(
        When(~Q(status=Decision.GRANTED), then=F("status")),
        When(expires_at__lte=at, then=Value(EXPIRED)),
        default=Value(ALLOWED),
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one decision."""

    consent: Consent
    result: str  # RECORDED, REPEATED or OPTED_OUT
    was: str = MISSING  # the answer before it

    @property
    def opted_out(self) -> bool:
        """Say whether it was refused, because the person has said STOP."""
        return self.result == OPTED_OUT


RECORDED = "recorded"
REPEATED = "repeated"
OPTED_OUT = "person_opted_out"


@transaction.atomic
def grant(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people agree.

    Raises Problem 409 ``person_opted_out`` when one of them has said STOP and the grant is
    not their own and not dated later.
    """
    made = _record(org, [(entry, Decision.GRANTED) for entry in entries])
    if any(item.opted_out for item in made):
        raise opted_out()
    return [item.consent for item in made]


def deny(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people were asked and said no."""
    return [made.consent for made in record(org, [(entry, Decision.DENIED) for entry in entries])]


def revoke(org: Organization, entries: Sequence[Entry]) -> list[Consent]:
    """Record that the people take their agreement back."""
    return [made.consent for made in record(org, [(entry, Decision.REVOKED) for entry in entries])]


def opted_out() -> Problem:
    """Return the refusal to agree for somebody who has said STOP."""
    detail = (
        "This person has asked for no more messages. Only their own START, or a proof of "
        "agreement dated later, opens the way again; an import never does."
    )
    return Problem(
        409,
        OPTED_OUT,
        "The person has opted out",
        detail,
        [FieldProblem("proof", OPTED_OUT, detail)],
    )


@transaction.atomic
def record(org: Organization, decisions: Sequence[tuple[Entry, Decision]]) -> list[Recorded]:
    """Append the decisions; what holds now follows from the whole history of each consent.

    A decision that is there already, with the same source, proof, expiry and time, is not
    repeated; an agreement for somebody who has said STOP is left out. The number of statements
    does not depend on the number of decisions.
    """
    return _record(org, decisions)


def _record(org: Organization, decisions: Sequence[tuple[Entry, Decision]]) -> list[Recorded]:
    if not decisions:
        return []
    entries = [entry for entry, _decision in decisions]
    _hold_people(org, entries)
    _create_missing(org, decisions)
    rows = _lock(entries)
    histories = _histories(rows.values())
    fresh: list[ConsentEvent] = []
    made: list[Recorded] = []
    for entry, decision in decisions:
        row = rows[entry.ask]
        known = histories[row.pk]
        before = history.present(known)
        event = _event(org, row, entry, decision)
        result = RECORDED
        if _identity(event) in {_identity(past) for past in known}:
            result = REPEATED
        elif _undoes_stop(known, event):
            result = OPTED_OUT
        else:
            known.append(event)
            fresh.append(event)
        made.append(Recorded(row, result, before.status if before else MISSING))
    _write(
        row
        for row in {event.consent_id: event.consent for event in fresh}.values()
        if _follow(row, history.present(histories[row.pk]))
    )
    ConsentEvent.objects.bulk_create(fresh)
    return made


class GoneMeanwhileError(OperationalError):
    """Somebody was erased or merged between being found and being held; try again to find them."""


def _hold_people(org: Organization, entries: Sequence[Entry]) -> None:
    """Keep the people from being erased or merged until the decisions are committed.

    Raises GoneMeanwhileError when one of them has been, ValueError for a stranger.
    """
    ids = {entry.contact_id for entry in entries}
    people = Contact.objects.of(org).filter(pk__among=ids).order_by("pk")
    held = database.held(people.values_list("pk", "erased_at", "merged_into_id"))
    if len(held) != len(ids):
        message = "A contact belongs to another organisation or does not exist."
        raise ValueError(message)
    if any(erased_at or merged_into for _pk, erased_at, merged_into in held):
        message = "A person was erased or merged at this moment; try again."
        raise GoneMeanwhileError(message)


def _create_missing(org: Organization, decisions: Sequence[tuple[Entry, Decision]]) -> None:
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
            # In one order, so that two batches never wait for each other.
            for entry, decision in sorted(
                {entry.ask: (entry, decision) for entry, decision in decisions}.values(),
                key=lambda item: _place(item[0]),
            )
        ),
        ignore_conflicts=True,
    )


def _place(entry: Entry) -> tuple[int, str, str]:
    return entry.contact_id, entry.channel, entry.purpose


def _histories(rows: Iterable[Consent]) -> dict[int, list[ConsentEvent]]:
    """Return what was decided before, oldest record first."""
    found: dict[int, list[ConsentEvent]] = {row.pk: [] for row in rows}
    for event in ConsentEvent.objects.filter(consent_id__in=found).order_by("pk"):
        found[event.consent_id].append(event)
    return found


def _rows(entries: Sequence[Entry]) -> Any:
    return Consent.objects.filter(
        contact_id__in={entry.contact_id for entry in entries},
        channel__in={entry.channel for entry in entries},
        purpose__in={entry.purpose for entry in entries},
    )


def _lock(entries: Sequence[Entry]) -> dict[Ask, Consent]:
    rows = _rows(entries).select_related("contact").select_for_update(of=("self",)).order_by("pk")
    return {Ask(row.contact_id, row.channel, row.purpose): row for row in rows}


def _identity(event: ConsentEvent) -> tuple[object, ...]:
    """Return what makes a decision the same as another one."""
    proof = orjson.dumps(event.proof, option=orjson.OPT_SORT_KEYS, default=str)
    said = event.source in {Source.PERSON, Source.PROVIDER}
    # What a person said is one thing, however often it is reported.
    expiry = None if said else event.expires_at
    return event.status, event.source, event.occurred_at, proof, expiry


def _undoes_stop(known: Sequence[ConsentEvent], event: ConsentEvent) -> bool:
    """Say whether others agree for somebody who has said STOP; what they say themselves is kept."""
    theirs = event.source in {Source.PERSON, Source.PROVIDER}
    if event.status != Decision.GRANTED or theirs:
        return False
    return not all(history.may_follow(event, stop) for stop in history.stops(known))


def _follow(row: Consent, decided: ConsentEvent | None) -> bool:
    """Make the row say what was decided; say whether there is anything to write."""
    if decided is None:
        return False
    if decided.status == Decision.GRANTED:
        row.cancel_pending = False
    elif row.status == Decision.GRANTED:
        row.cancel_pending = True
    row.status = decided.status
    row.expires_at = decided.expires_at
    row.source = decided.source
    row.proof = decided.proof
    row.decided_at = decided.occurred_at
    return True


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
                "cancel_pending": row.cancel_pending,
                "updated_at": now,
            }
            for row in rows
        ],
    )
