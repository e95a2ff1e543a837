"""Accepting messages: idempotency, consent and window, then the insert, for all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from django.db import OperationalError, connection, transaction

from messaging import traced, tracing, wake
from messaging.intake import rows, statement, templates
from messaging.intake.refusals import key_conflict, refusal
from messaging.intake.requests import (
    Accepted,
    Answer,
    Finding,
    MessageRequest,
    Submission,
    Warned,
)
from messaging.models import OutboundMessage
from orgs.models import Organization
from orgs.shared_commit import SharedCommit

# A key that another request is just using is found by the second look.
LOOKS = 2
# Requests of concurrent clients in one statement, at most.
SHARED_MOST = 100

SUSPECT = Warned(
    "recipient_suspect",
    "The last messages to this person came back undeliverable (131026): they may not be "
    "reachable on WhatsApp.",
)


def accept(org: Organization, requests: Sequence[MessageRequest], actor: str) -> list[Answer]:
    """Queue what may be sent; return for each request the message or why not.

    One transaction, with a number of statements that does not depend on the number of requests:
    a single one on PostgreSQL unless a key was used before, shared by single requests that come
    at the same moment. A repeated idempotency key gives the
    message it made the first time, whatever has changed since.
    """
    if not requests:
        return []
    begun = tracing.now()
    first_of: dict[str, int] = {}
    leaders: dict[int, MessageRequest] = {}
    for place, request in enumerate(requests):
        key = request.idempotency_key
        if key is None or first_of.setdefault(key, place) == place:
            leaders[place] = request
    answers = _accept_leaders(org, leaders, actor)
    for place, request in enumerate(requests):
        if place not in answers and request.idempotency_key is not None:
            leader = first_of[request.idempotency_key]
            answers[place] = _repeated(request, requests[leader], answers[leader])
    fresh = {
        answer.message.pk: answer.message
        for answer in answers.values()
        if isinstance(answer, Accepted) and not answer.replayed
    }
    if fresh:
        wake.on_commit(wake.SEND)
        traced.accepted(fresh.values(), begun)
    return [answers[place] for place in range(len(requests))]


def _accept_leaders(
    org: Organization, leaders: Mapping[int, MessageRequest], actor: str
) -> dict[int, Answer]:
    """Answer requests of which no two have the same key, those that fit their template."""
    judged = dict(zip(leaders, templates.judge(org, list(leaders.values())), strict=True))
    fitting = {place: item.request for place, item in judged.items() if item.problem is None}
    answers = _misfits(org, {place: judged[place] for place in judged if place not in fitting})
    if len(fitting) == 1 and connection.vendor == "postgresql":
        answers |= _accept_distinct(org, fitting, actor)
    elif fitting:
        with transaction.atomic():
            answers |= _accept_distinct(org, fitting, actor)
    return {place: _with_warnings(answer, judged[place]) for place, answer in answers.items()}


def _misfits(org: Organization, judged: Mapping[int, templates.Judged]) -> dict[int, Answer]:
    """Answer what does not fit its template; a key used before still gives its message."""
    keyed = {place: item.request for place, item in judged.items() if item.request.idempotency_key}
    answers: dict[int, Answer] = {
        place: item.problem for place, item in judged.items() if item.problem is not None
    }
    return answers | _replays(org, keyed)


def _with_warnings(answer: Answer, judged: templates.Judged) -> Answer:
    if judged.warnings and isinstance(answer, Accepted) and not answer.replayed:
        return replace(answer, warnings=judged.warnings + answer.warnings)
    return answer


def _accept_distinct(
    org: Organization, requests: Mapping[int, MessageRequest], actor: str
) -> dict[int, Answer]:
    """Answer requests of which no two have the same key."""
    answers: dict[int, Answer] = {}
    for _ in range(LOOKS):
        left = [place for place in requests if place not in answers]
        if not left:
            break
        taken: list[int] = []
        found = _insert(org, [requests[place] for place in left], actor)
        for place, item in zip(left, found, strict=True):
            if item.message is not None:
                warnings = (SUSPECT,) if item.facts.is_suspect else ()
                answers[place] = Accepted(item.message, replayed=False, warnings=warnings)
            elif item.taken:
                taken.append(place)
            elif problem := refusal(requests[place], item.facts):
                answers[place] = problem
            # Else its key was taken while we looked: look again.
        answers |= _replays(org, {place: requests[place] for place in taken})
    if len(answers) != len(requests):
        # The message that held the key went away twice; the client may simply repeat.
        message = "An idempotency key could not be settled."
        raise OperationalError(message)
    return answers


def _insert(org: Organization, requests: Sequence[MessageRequest], actor: str) -> Sequence[Finding]:
    if connection.vendor != "postgresql":
        return rows.insert(org, requests, actor)
    submissions = [Submission(org, request, actor) for request in requests]
    if len(submissions) == 1:
        return [_single_requests.submit(submissions[0])]
    return statement.insert(submissions)


_single_requests = SharedCommit(statement.insert, SHARED_MOST)


def _replays(org: Organization, requests: Mapping[int, MessageRequest]) -> dict[int, Answer]:
    """Answer with the messages that the keys have made before."""
    if not requests:
        return {}
    made = messages_by_key(org, [request.idempotency_key for request in requests.values()])
    return {
        place: _replay(made[request.idempotency_key], request)
        for place, request in requests.items()
        if request.idempotency_key in made
    }


def messages_by_key(
    org: Organization, keys: Iterable[str | None]
) -> dict[str | None, OutboundMessage]:
    """Return the messages the keys have made, with their numbers, by one query."""
    found = OutboundMessage.objects.of(org).filter(idempotency_key__in=list(keys))
    return {message.idempotency_key: message for message in found.select_related("phone_number")}


def _replay(message: OutboundMessage, request: MessageRequest) -> Answer:
    if message.request_fingerprint == request.fingerprint:
        return Accepted(message, replayed=True)
    return key_conflict()


def _repeated(request: MessageRequest, leader: MessageRequest, answer: Answer) -> Answer:
    """Answer a request whose key stood earlier in the same batch."""
    if request.fingerprint != leader.fingerprint:
        return key_conflict()
    return replace(answer, replayed=True) if isinstance(answer, Accepted) else answer
