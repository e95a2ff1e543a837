"""Hearing who wants no more messages, or wants them again, in what Meta reports."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from consent import contacts, policies, wishes
from consent.contacts import Recipient
from consent.policies import Policy
from consent.wishes import BUTTON, PREFERENCE, REFUSAL, TEXT, Expressed, Said, Wish
from messaging import confirmations
from messaging.confirmations import Confirmation
from messaging.models import OutboundMessage, PhoneNumber
from messaging.providers.base import ErrorRule, Inbound, Preference
from orgs.models import Organization


@dataclass(frozen=True, slots=True)
class _Heard:
    """A wish somebody expressed to an organisation."""

    org: Organization
    person: Recipient
    wish: Wish
    at: datetime
    proof: Mapping[str, Any] = field(repr=False)
    answered_by: PhoneNumber | None = None  # a confirmation may go: the person has just written


def hear_inbound(received: Iterable[tuple[Inbound, PhoneNumber]], now: datetime) -> None:
    """Record the STOP and START among the messages people wrote; confirm where it is wished."""
    said = [
        (inbound, number, Said(means, texts))
        for inbound, number in received
        if (inbound.phone or inbound.bsuid) and (texts := _texts(inbound.kind, inbound.raw))
        for means in [TEXT if inbound.kind == "text" else BUTTON]
    ]
    if not said:
        return
    rules = policies.of({number.org_id for _inbound, number, _said in said})
    heard = [
        _Heard(
            number.org,
            Recipient(inbound.phone or None, inbound.bsuid or None),
            wish,
            inbound.at,
            {"means": what.means, "message_id": inbound.provider_message_id},
            number if now - inbound.at < confirmations.WORTH_SENDING_FOR else None,
        )
        for inbound, number, what in said
        if (wish := wishes.understand(what, rules[number.org_id])) is not None
    ]
    _record(heard, rules, now)


def hear_preferences(
    received: Iterable[tuple[Preference, Organization]], now: datetime
) -> list[bool]:
    """Record who stopped or resumed marketing in WhatsApp itself; say which were understood."""
    heard: list[_Heard] = []
    understood: list[bool] = []
    for preference, org in received:
        said = Said(PREFERENCE, [preference.value] if preference.is_marketing else [])
        wish = wishes.understand(said, policies.DEFAULT)
        person = Recipient(preference.phone or None, preference.bsuid or None)
        known = wish is not None and bool(person.phone or person.bsuid)
        understood.append(known)
        if wish is not None and known:
            heard.append(_Heard(org, person, wish, preference.at, {"means": PREFERENCE}))
    _record(heard, {}, now)
    return understood


@dataclass(frozen=True, slots=True)
class Refused:
    """A message Meta refused, by the answer to the call or by a failed status."""

    message_id: uuid.UUID
    at: datetime
    code: str
    provider_message_id: str = ""


class _Trouble(Protocol):
    @property
    def rule(self) -> ErrorRule | None: ...


def is_opt_out(trouble: _Trouble) -> bool:
    """Say whether Meta refused because the person has stopped marketing messages."""
    return trouble.rule is not None and trouble.rule.opt_out


def hear_refusals(refused: Sequence[Refused]) -> None:
    """Record the opt-outs that Meta's refusals tell of; nothing about who has been erased."""
    if not refused:
        return
    wish = wishes.understand(Said(REFUSAL), policies.DEFAULT)
    known = OutboundMessage.objects.filter(contact__erased_at=None).select_related("org")
    messages = known.in_bulk([item.message_id for item in refused])
    by_org: dict[int, list[Expressed]] = {}
    for item in refused:
        message = messages.get(item.message_id)
        if message is not None and wish is not None:
            proof = {"means": REFUSAL, "code": item.code, "message_id": item.provider_message_id}
            by_org.setdefault(message.org_id, []).append(
                Expressed(message.contact_id, wish, item.at, proof)
            )
    orgs = {message.org_id: message.org for message in messages.values()}
    for org_id, expressed in sorted(by_org.items()):
        wishes.record(orgs[org_id], expressed)


def _texts(kind: str, raw: Mapping[str, Any]) -> list[str]:
    """Return what may be a command: the text, or payload and title of a tapped button."""
    part: Any = raw.get(kind)
    if kind == "interactive" and isinstance(part, dict):
        part = part.get("button_reply")
    names = {"text": ["body"], "button": ["payload", "text"], "interactive": ["id", "title"]}
    if not isinstance(part, dict):
        return []
    return [part[name] for name in names.get(kind, []) if isinstance(part.get(name), str)]


def _record(heard: Sequence[_Heard], rules: Mapping[int, Policy], now: datetime) -> None:
    by_org: dict[int, list[_Heard]] = {}
    for item in heard:
        by_org.setdefault(item.org.pk, []).append(item)
    for org_id, items in sorted(by_org.items()):
        org = items[0].org
        people = contacts.find_or_create(org, [item.person for item in items])
        # A wish is the person's, under whatever name we know them.
        known = contacts.find_all(org, people)
        expressed = [
            Expressed(contact.pk, item.wish, item.at, item.proof)
            for item in items
            for contact in known[item.person]
        ]
        recorded = wishes.record(org, expressed)
        confirmations.queue(
            [
                Confirmation(item.answered_by, people[item.person].pk, to, text, _key(item))
                for item in items
                if item.answered_by is not None
                if people[item.person].pk in recorded
                if (text := _text(rules[org_id], item.wish))
                if (to := item.person.phone or item.person.bsuid)
            ],
            now,
        )


def _text(rule: Policy, wish: Wish) -> str:
    return rule.stop_confirmation if wish.stop else rule.start_confirmation


def _key(item: _Heard) -> str:
    return str(item.proof["message_id"])
