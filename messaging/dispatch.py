"""One batch each way: from claimed messages to calls, and from results to rows."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction

from consent import suspects
from consent.suspects import Sign
from messaging import (
    acceptance,
    attempts,
    circuit,
    holding,
    limits,
    metrics,
    opt_outs,
    outcomes,
    traced,
    tracing,
    transitions,
)
from messaging.circuit import Signs
from messaging.claims import Claim, Claimed
from messaging.outcomes import Verdict
from messaging.providers.base import Outcome, Outgoing, Result, Sender
from messaging.providers.whatsapp import callback
from messaging.states import Cause
from messaging.transitions import Change
from orgs import database
from ratelimit import holds
from ratelimit.holds import HoldRequest

logger = logging.getLogger(__name__)

Answered = acceptance.Answered


def outgoing(claim: Claim) -> list[Outgoing]:
    """Return what the provider needs of each claimed message; the key is the message's id."""
    instance = settings.OUTBOUND_INSTANCE
    return [
        Outgoing(
            key=str(message.pk),
            sender=Sender(
                message.phone_number.phone_number_id, message.phone_number.account.access_token
            ),
            to=message.to_recipient,
            to_is_bsuid=message.to_is_bsuid,
            kind=message.kind,
            payload=message.payload,
            reply_to=message.reply_to,
            callback_data=callback.encode(instance, message.pk.hex, message.last_attempt_number),
            deadline=min(claim.deadline, message.worthless_at),
            start_at=message.start_at,
        )
        for message in claim.messages
    ]


def record(answers: Sequence[Answered]) -> None:
    """Write a group of results; those that say nothing new in a transaction of their own.

    Each answer is stored on its attempt; the message moves only while it still carries the
    claim it was sent under. A scope the provider stopped is put on hold in the same
    transaction.
    """
    begun = tracing.now()
    accepted = [answer for answer in answers if answer[1].outcome == Outcome.ACCEPTED]
    taken = _record_accepted(accepted) if accepted else set()
    left = [answer for answer in answers if answer[0].pk not in taken]
    if left:
        _record(left)
    _measure(answers)
    traced.recorded(answers, begun)
    _log(answers)


def _record_accepted(answers: Sequence[Answered]) -> set[uuid.UUID]:
    """Record the answers of messages that are as their claim left them; return which."""
    try:
        with transaction.atomic():
            now = database.now()
            taken = acceptance.write(answers, now)
            signs: dict[str, Signs] = defaultdict(Signs)
            for message, result in answers:
                if message.pk in taken:
                    signs[_app_key(message)].take(message.pk, result)
            circuit.observe(signs, circuit.open_apps(signs), now)
    except acceptance.OvertakenError:
        return set()
    return taken


def _record(answers: Sequence[Answered]) -> None:
    with transaction.atomic():
        now = database.now()
        policy = outcomes.current_policy()
        rows = transitions.lock(message.pk for message, _result in answers)
        answers = [
            (
                message,
                result.without_person()
                if message.pk in rows and rows[message.pk].is_erased
                else result,
            )
            for message, result in answers
        ]
        by_attempt = {
            (message.pk, message.last_attempt_number): result for message, result in answers
        }
        circuits = circuit.open_apps(_app_key(message) for message, _result in answers)
        free = {
            (message.pk, message.last_attempt_number)
            for message, result in answers
            if _app_key(message) in circuits and outcomes.is_outage(result)
        }
        charges = attempts.finish(attempts.load(by_attempt), by_attempt, now, free=free)
        signs: dict[str, Signs] = defaultdict(Signs)
        changes: list[Change] = []
        pauses: list[HoldRequest] = []
        for message, result in answers:
            signs[_app_key(message)].take(message.pk, result)
            if message.pk not in rows:
                continue
            in_outage = (message.pk, message.last_attempt_number) in free
            verdict = outcomes.after_result(
                rows[message.pk], result, policy, now, in_outage=in_outage
            )
            charge = charges.get((message.pk, message.last_attempt_number), 0)
            change = _change(message, result, verdict, charge, now)
            change.retries = result.outcome == Outcome.RETRY and not in_outage
            changes.append(change)
            pauses += holding.pauses_for(message, message.phone_number, verdict)
        transitions.apply(rows, changes, now=now)
        holds.place(pauses, now)
        circuit.observe(signs, circuits, now)
        opt_outs.hear_refusals(
            [
                opt_outs.Refused(message.pk, now, result.error_code)
                for message, result in answers
                if opt_outs.is_opt_out(result)
            ]
        )
        fresh = [
            answer for answer in answers if (answer[0].pk, answer[0].last_attempt_number) in charges
        ]
        suspects.follow(
            [
                Sign(message.contact_id, reached=False)
                for message, result in fresh
                if result.rule is not None and result.rule.undeliverable
            ],
            now,
        )
        # Last, as a claim takes its probe first: holds are locked before organisations' rows.
        limits.note(fresh, pauses, now)


def _app_key(message: Claimed) -> str:
    return message.phone_number.account.app.app_id


def _change(
    message: Claimed, result: Result, verdict: Verdict, charge: int, now: datetime
) -> Change:
    return Change(
        message.pk,
        Cause.RESULT,
        now,
        to=verdict.to,
        kind=result.outcome.lower(),
        claim_id=message.claim_id,
        due_at=verdict.due_at,
        wait_until=verdict.wait_until,
        code=verdict.code[:32],
        text=verdict.text,
        provider_message_id=result.provider_message_id,
        attempt_number=message.last_attempt_number,
        charge=charge,
        accepted_at=now if result.outcome == Outcome.ACCEPTED else None,
    )


def _measure(answers: Sequence[Answered]) -> None:
    for message, result in answers:
        seconds = metrics.call_seconds(message.channel, result.outcome.value)
        seconds.observe(result.duration_ms / 1000)


def _log(answers: Sequence[Answered]) -> None:
    """Log each answer; what was accepted, thousands a second, only where details are asked for."""
    for message, result in answers:
        level = logging.DEBUG if result.outcome == Outcome.ACCEPTED else logging.INFO
        if not logger.isEnabledFor(level):
            continue
        logger.log(
            level,
            "Attempt finished",
            extra={
                "message_id": message.pk,
                "org_id": message.phone_number.org.org_id,
                "attempt": message.last_attempt_number,
                "outcome": result.outcome.value,
                "code": result.error_code or None,
            },
        )
