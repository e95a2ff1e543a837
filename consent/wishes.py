"""What people want: from what they said to the decision that follows, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from consent import ledger, words
from consent.models import (
    Channel,
    Consent,
    ConsentEvent,
    Decision,
    Purpose,
    Source,
    StopScope,
)
from consent.policies import Policy
from orgs.models import Organization

# How a wish reaches us.
TEXT = "text"  # the person wrote a word
BUTTON = "button"  # the person tapped a button
PREFERENCE = "preference"  # the person set it in WhatsApp itself
REFUSAL = "refusal"  # Meta refused a message, because the person had stopped them

_ALL = (Purpose.MARKETING, Purpose.TRANSACTIONAL)
# Meta's words for marketing stopped and allowed again.
_PREFERENCES = {"stop": True, "resume": False, "signup": False}


@dataclass(frozen=True, slots=True)
class Said:
    """What came from a person or, about them, from Meta."""

    means: str  # one of the four above
    texts: Sequence[str] = field(default=(), repr=False)  # word, or payload and title of a button


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of us."""

    word: str  # of our list, or Meta's, that said so
    purposes: Sequence[str]
    source: str
    stop: bool  # else start


@dataclass(frozen=True, slots=True)
class Expressed:
    """A wish with whose it is, when, and what proves it."""

    contact_id: int
    wish: Wish
    at: datetime
    proof: Mapping[str, Any] = field(repr=False)


def understand(said: Said, policy: Policy) -> Wish | None:
    """Return the wish in what was said; None for everything else: the one rule of STOP."""
    if said.means == REFUSAL:
        return Wish("refused", (Purpose.MARKETING,), Source.PROVIDER, stop=True)
    if said.means == PREFERENCE:
        word = next((text for text in said.texts if text in _PREFERENCES), None)
        if word is None:
            return None
        return Wish(word, (Purpose.MARKETING,), Source.PROVIDER, stop=_PREFERENCES[word])
    scope = policy.button_scope if said.means == BUTTON else policy.stop_scope
    purposes = _ALL if scope == StopScope.EVERYTHING else (Purpose.MARKETING,)
    stops = policy.stop_words
    if said.means == BUTTON:
        stops |= policy.opt_out_payloads
    heard = [words.normalise(text) for text in said.texts]
    for stop, known in ((True, stops), (False, policy.start_words)):
        word = next((text for text in heard if text in known), None)
        if word is not None:
            return Wish(word, purposes, Source.PERSON, stop=stop)
    return None


def record(org: Organization, expressed: Sequence[Expressed]) -> set[int]:
    """Write the wishes into the ledger; return the contacts for whom one was recorded.

    A STOP is kept for everybody. A START, or Meta's resume, brings back what somebody had agreed
    to, and nothing else.
    """
    agreed = _agreed_before([item for item in expressed if not item.wish.stop])
    decisions = [
        (
            _entry(item, purpose, None if item.wish.stop else agreed[item.contact_id, purpose]),
            Decision.REVOKED if item.wish.stop else Decision.GRANTED,
        )
        for item in expressed
        for purpose in item.wish.purposes
        if item.wish.stop or (item.contact_id, purpose) in agreed
    ]
    ledger.record(org, decisions)
    return {entry.contact_id for entry, _decision in decisions}


def _agreed_before(starts: Sequence[Expressed]) -> dict[tuple[int, str], datetime | None]:
    """Return what the people have agreed to at some time, and until when it holds today."""
    if not starts:
        return {}
    grants = ConsentEvent.objects.filter(consent=OuterRef("pk"), status=Decision.GRANTED)
    rows = (
        Consent.objects.filter(
            Q(status=Decision.GRANTED) | Exists(grants),
            contact_id__in={item.contact_id for item in starts},
            channel=Channel.WHATSAPP,
        )
        .exclude(status=Decision.DENIED)
        .values_list("contact_id", "purpose", "status", "expires_at")
    )
    return {
        (contact, purpose): until if status == Decision.GRANTED else None
        for contact, purpose, status, until in rows
    }


def _entry(item: Expressed, purpose: str, expires_at: datetime | None) -> ledger.Entry:
    return ledger.Entry(
        contact_id=item.contact_id,
        channel=Channel.WHATSAPP,
        purpose=purpose,
        source=item.wish.source,
        actor="meta" if item.wish.source == Source.PROVIDER else "person",
        occurred_at=item.at,
        proof={"word": item.wish.word, **item.proof},
        expires_at=expires_at,
    )
