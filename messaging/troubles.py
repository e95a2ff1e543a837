"""Errors Meta reports for a phone number without naming a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from messaging import holding, limits, outcomes
from messaging.limits import Refusal
from messaging.models import PhoneNumber
from messaging.outcomes import Trouble
from messaging.providers.base import NumberError, Outcome, Scope
from ratelimit import holds


def take(received: Sequence[tuple[NumberError, PhoneNumber]], now: datetime) -> list[bool]:
    """Let holds and limits follow, by the rules of a failed call; say which errors had any.

    In a transaction, after messages are locked.
    """
    policy = outcomes.current_policy()
    pauses, refusals, stopped = [], [], []
    for error, number in received:
        rule = error.rule
        if rule is None or rule.outcome != Outcome.THROTTLED or rule.scope == Scope.PAIR:
            stopped.append(False)
            continue
        trouble = Trouble(rule.outcome, error.error_code, error.error_message, rule)
        wanted = holding.pauses_for_number(number, outcomes.pause_for(trouble, policy, now))
        pauses += wanted
        refusals.append(Refusal(number, None, rule))
        stopped.append(bool(wanted))
    if received:
        holds.place(pauses, now)
        limits.note_refusals(refusals, pauses, now)
    return stopped
