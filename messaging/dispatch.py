"""Sending what is due: claim a batch, call the provider, record what came of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import Event

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from messaging import attempts, channels, claims, holding, outcomes, transitions
from messaging.claims import Claim
from messaging.models import OutboundMessage
from messaging.outcomes import Verdict
from messaging.providers.base import Outcome, Outgoing, Result, Sender
from messaging.providers.whatsapp import callback
from messaging.states import Cause
from messaging.transitions import Change
from orgs import database
from ratelimit import holds
from ratelimit.holds import HoldRequest

logger = logging.getLogger(__name__)

# An answer is worth some patience: waits before recording again, seconds. If the database
# stays away longer, the claim runs out and the message is rescued as unknown.
RECORD_AGAIN_SECONDS = (0.2, 1.0, 3.0, 6.0)

_pause = Event()  # never set: a wait that is not a sleep


def send_due() -> int:
    """Send one batch of due messages; return how many were taken, 0 when nothing is due."""
    claim = claims.claim_due(settings.OUTBOUND_SEND_CONCURRENCY)
    if claim is None:
        return 0
    taken = {str(message.pk): message for message in claim.messages}
    by_channel: dict[str, list[Outgoing]] = {}
    for message in claim.messages:
        by_channel.setdefault(message.channel, []).append(_outgoing(message, claim))
    _release_connection()
    for channel, batch in by_channel.items():
        for results in channels.provider(channel).send(batch):
            _record_patiently(claim, [(taken[result.key], result) for result in results])
            _release_connection()
    return len(claim.messages)


def record(claim: Claim, answers: Sequence[tuple[OutboundMessage, Result]]) -> None:
    """Write a group of results in one transaction.

    Each answer is stored on its attempt; the message moves only while it still carries this
    claim. A scope the provider stopped is put on hold in the same transaction.
    """
    with transaction.atomic():
        now = database.now()
        policy = outcomes.current_policy()
        rows = transitions.lock(message.pk for message, _result in answers)
        by_attempt = {
            (message.pk, message.last_attempt_number): result for message, result in answers
        }
        charges = attempts.finish(attempts.load(by_attempt), by_attempt, now)
        changes: list[Change] = []
        pauses: list[HoldRequest] = []
        for message, result in answers:
            if message.pk not in rows:
                continue
            verdict = outcomes.after_result(rows[message.pk], result, policy, now)
            changes.append(
                replace(
                    _change(claim, message, result, verdict, now),
                    charge=charges.get((message.pk, message.last_attempt_number), 0),
                    accepted_at=now if result.outcome == Outcome.ACCEPTED else None,
                )
            )
            pauses += holding.pauses_for(message.phone_number, verdict)
        transitions.apply(rows, changes, now=now)
        holds.place(pauses, now)
    _log(answers)


def _outgoing(message: OutboundMessage, claim: Claim) -> Outgoing:
    number = message.phone_number
    return Outgoing(
        key=str(message.pk),
        sender=Sender(number.phone_number_id, number.account.access_token),
        to=message.to_recipient,
        to_is_bsuid=message.to_is_bsuid,
        kind=message.kind,
        payload=message.payload,
        reply_to=message.reply_to,
        callback_data=callback.encode(
            settings.OUTBOUND_INSTANCE, message.pk.hex, message.last_attempt_number
        ),
        deadline=claim.deadline,
    )


def _change(
    claim: Claim, message: OutboundMessage, result: Result, verdict: Verdict, now: datetime
) -> Change:
    return Change(
        message.pk,
        Cause.RESULT,
        now,
        to=verdict.to,
        kind=result.outcome.lower(),
        claim_id=claim.claim_id,
        due_at=verdict.due_at,
        wait_until=verdict.wait_until,
        code=verdict.code[:32],
        text=verdict.text,
        provider_message_id=result.provider_message_id,
        attempt_number=message.last_attempt_number,
    )


def _record_patiently(claim: Claim, answers: Sequence[tuple[OutboundMessage, Result]]) -> None:
    for wait in (*RECORD_AGAIN_SECONDS, None):
        try:
            record(claim, answers)
        except (OperationalError, InterfaceError):
            if wait is None:
                raise
            logger.warning("Database away while recording", extra={"count": len(answers)})
            connection.close()
            _pause.wait(wait)
        else:
            return


def _release_connection() -> None:
    """Give the connection back to the pool: none is held while the provider is called."""
    if not connection.in_atomic_block:
        connection.close()


def _log(answers: Sequence[tuple[OutboundMessage, Result]]) -> None:
    for message, result in answers:
        logger.info(
            "Attempt finished",
            extra={
                "message_id": message.pk,
                "org_id": message.phone_number.org.org_id,
                "attempt": message.last_attempt_number,
                "outcome": result.outcome.value,
                "code": result.error_code or None,
            },
        )
