"""Whether a template message fits what Meta has, asked before anything is queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from messaging import template_cache, template_sync
from messaging.intake.requests import MessageRequest, Warned
from messaging.models import BusinessAccount, OutboundMessage
from messaging.models.templates import MessageTemplate, Sendable
from messaging.providers.whatsapp import template_fit
from messaging.providers.whatsapp.content_rules import ContentError
from messaging.template_cache import Account, Key, Known
from orgs.models import Organization
from orgs.problems import Problem, invalid

# A template nobody knows may be new: its account is read again, but no more often than this.
READ_AGAIN_AFTER = timedelta(seconds=60)


NOT_SYNCED = Warned(
    "templates_not_synced",
    "The account's templates were not read from Meta yet, so this one was not checked.",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A request with the category it really has, or what stands against it."""

    request: MessageRequest
    problem: Problem | None = None
    warnings: tuple[Warned, ...] = ()


def judge(org: Organization, requests: Sequence[MessageRequest]) -> list[Judged]:
    """Check each template message against what is known of its template.

    A number that is not the organisation's is none of this module's business: intake refuses it.
    """
    if all(request.kind != "template" for request in requests):
        return [Judged(request) for request in requests]
    accounts = template_cache.accounts(org)
    keys = [_key(request, accounts) for request in requests]
    known = template_cache.find({key for key in keys if key is not None})
    synced = {account.pk for account in accounts.values() if account.is_synced}
    judged = [
        _judge(request, known[key], is_synced=key[0] in synced)
        if key is not None
        else Judged(request, _category_missing(request))
        for request, key in zip(requests, keys, strict=True)
    ]
    _read_again({key[0] for key in keys if key and key[0] in synced and known[key] is None})
    return judged


def _key(request: MessageRequest, accounts: dict[str, Account]) -> Key | None:
    """Return what the template is known by; None for other kinds and unknown senders."""
    if request.kind != "template":
        return None
    account = accounts.get(request.sender)
    if not request.sender and len(accounts) == 1:
        account = next(iter(accounts.values()))
    return (account.pk, *request.template) if account else None


def _judge(request: MessageRequest, known: Known | None, *, is_synced: bool) -> Judged:
    if known is None and not is_synced:
        return Judged(request, _category_missing(request), (NOT_SYNCED,))
    problem = _unsendable(known) if known else _unknown()
    if known is None or problem is not None:
        return Judged(request, problem)
    try:
        template_fit.check(known.shape, request.content.get("components") or ())
    except ContentError as error:
        return Judged(request, invalid(error.field, error.code, error.detail))
    if known.category == "authentication" and request.recipient.phone is None:
        # Meta's error 131062.
        detail = "An authentication template cannot go to a BSUID: give a phone number."
        return Judged(request, invalid("to_bsuid", "invalid", detail))
    return Judged(_categorised(request, known), warnings=_paused(known))


def _unsendable(known: Known) -> Problem | None:
    """Return why it cannot be queued; one that is paused is queued and waits."""
    waits = known.sendable is Sendable.LATER and known.status == MessageTemplate.Status.PAUSED
    if known.sendable is Sendable.YES or waits:
        return None
    detail = f"Meta has this template as {known.status}; only an approved one can be sent."
    return invalid("template.name", "template_not_sendable", detail)


def _paused(known: Known) -> tuple[Warned, ...]:
    if known.sendable is Sendable.YES:
        return ()
    detail = "Meta has paused this template: the message waits until it is approved again."
    return (Warned("template_paused", detail),)


def _categorised(request: MessageRequest, known: Known) -> MessageRequest:
    """Give it the category of the template; the client may only be stricter: marketing."""
    if known.category not in OutboundMessage.Category.values or request.category == known.category:
        return request
    if request.category == OutboundMessage.Category.MARKETING:
        return request
    return replace(request, category=known.category)


def _category_missing(request: MessageRequest) -> Problem | None:
    """Return the problem of a category that nobody tells."""
    if request.category:
        return None
    detail = (
        "Say the template's category (marketing, utility or authentication): it decides which "
        "consent is asked. It may be left out once the templates were read from Meta."
    )
    return invalid("category", "required", detail)


def _unknown() -> Problem:
    detail = (
        "The account has no template of this name in this language. If it is new, try again in "
        "a minute: the templates are read again."
    )
    return invalid("template.name", "unknown_template", detail)


def _read_again(accounts: set[int]) -> None:
    if accounts:
        template_sync.ask_for(BusinessAccount.objects.filter(pk__in=accounts), gap=READ_AGAIN_AFTER)
