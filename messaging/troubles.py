"""Errors Meta reports for a phone number without naming a message."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from messaging import holding, limits, outcomes
from messaging.limits import Refusal
from messaging.models import PhoneNumber, ProviderNotice
from messaging.models.notices import ERRORS
from messaging.outcomes import Trouble
from messaging.providers.base import ErrorRule, NumberError, Outcome, Scope
from ratelimit import holds

# An error has neither time nor identity: what matters no more by the time its webhook is
# processed, or processed again, changes nothing. A throttle matters for its wait, but may come
# late by so much; a stop may have been lifted since.
LATE_AT_MOST = timedelta(minutes=1)
STOP_MATTERS_FOR = timedelta(minutes=5)
# The same trouble of a number is told once in such a time.
TOLD_ONCE_IN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Reported:
    """An error, the number it is about, and when we were told."""

    error: NumberError
    number: PhoneNumber
    at: datetime


def take(received: Sequence[Reported], now: datetime) -> list[bool]:
    """Let holds and limits follow, by the rules of a failed call; say which errors had any.

    What is no limit and no stop is noted in the account's timeline. In a transaction, after
    messages are locked.
    """
    # All count from when we were told, so that telling it again has the same end.
    policy = replace(outcomes.current_policy(), jitter=0.0)
    acted: list[bool] = []
    by_time: dict[datetime, list[tuple[Reported, ErrorRule]]] = {}
    for told in received:
        rule = told.error.rule
        acts = rule is not None and _acts(rule) and told.at > now - _matters_for(rule)
        acted.append(acts)
        if rule is not None and acts:
            by_time.setdefault(told.at, []).append((told, rule))
    for at, items in sorted(by_time.items()):
        _follow(items, policy, at)
    others = [told for told in received if told.error.rule is None or not _acts(told.error.rule)]
    _note(others, now)
    return acted


def _acts(rule: ErrorRule) -> bool:
    return rule.outcome == Outcome.THROTTLED and rule.scope != Scope.PAIR


def _matters_for(rule: ErrorRule) -> timedelta:
    if rule.stop:
        return STOP_MATTERS_FOR
    wait = rule.wait_seconds or outcomes.DEFAULT_THROTTLE_SECONDS
    return max(timedelta(seconds=wait), LATE_AT_MOST)


def _follow(
    items: Sequence[tuple[Reported, ErrorRule]], policy: outcomes.Policy, at: datetime
) -> None:
    pauses, refusals = [], []
    for told, rule in items:
        error = told.error
        trouble = Trouble(rule.outcome, error.error_code, error.error_message, rule)
        pauses += holding.pauses_for_number(told.number, outcomes.pause_for(trouble, policy, at))
        refusals.append(Refusal(told.number, None, rule))
    holds.place(pauses, at)
    limits.note_refusals(refusals, pauses, at)


def _note(told: Sequence[Reported], now: datetime) -> None:
    """Note each trouble of a number in its account's timeline, once within an hour."""
    ProviderNotice.objects.bulk_create(
        (
            ProviderNotice(
                org_id=item.number.org_id,
                account_id=item.number.account_id,
                topic=ERRORS,
                event=item.error.error_code,
                subject=item.number.display_phone_number or item.number.phone_number_id,
                detail=item.error.error_message[:300],
                occurred_at=item.at,
                recorded_at=now,
                digest=_digest(item),
            )
            for item in told
        ),
        ignore_conflicts=True,
    )


def _digest(told: Reported) -> str:
    hour = int(told.at.timestamp()) // TOLD_ONCE_IN_SECONDS
    text = f"{ERRORS}/{told.number.phone_number_id}/{told.error.error_code}/{hour}"
    return hashlib.sha256(text.encode()).hexdigest()
