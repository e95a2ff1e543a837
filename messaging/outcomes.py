"""What follows from a result or a failed status: pure decisions, nothing written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from django.conf import settings

from messaging.providers.base import CONNECTION, ErrorRule, Outcome, Result, Scope
from messaging.states import Status

# A request that never left backs off 5, 10, 20, 40, 60 seconds.
NOT_SENT_FIRST_SECONDS = 5.0
NOT_SENT_LONGEST_SECONDS = 60.0
# Meta's advice for the pair limit: 4^X seconds, X = 0, 1, 2 …; capped at 256.
PAIR_BASE = 4.0
PAIR_LARGEST_EXPONENT = 4
# A throttle that names no time.
DEFAULT_THROTTLE_SECONDS = 60.0
# What the provider answers, or leaves unanswered, when it is down as a whole.
OUTAGE_CODES = frozenset({"2", "131016"})
SERVER_ERRORS = 500  # HTTP statuses from here on
# Up to this share is added to a wait, one draw per batch, so that batches do not march in step.
JITTER = 0.1

# Scopes that stand still as a whole; a narrower one only makes its message wait.
PAUSABLE = frozenset({Scope.TEMPLATE, Scope.UTILITY, Scope.NUMBER, Scope.ACCOUNT, Scope.APP})

# Outcomes that count against the attempt limit.
CHARGED = frozenset({Outcome.ACCEPTED, Outcome.REJECTED, Outcome.RETRY, Outcome.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Pause:
    """A scope wider than the message that must stand still."""

    scope: Scope
    until: datetime | None  # None: until staff, or a look at the provider, ends it
    cause: str  # throttle, template, credentials, billing, policy, registration
    code: str
    text: str
    at: datetime
    longest: timedelta | None = None  # one that follows on its like doubles up to this


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the message goes from here."""

    to: Status
    due_at: datetime | None = None
    wait_until: datetime | None = None
    code: str = ""
    text: str = ""
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers the decisions rest on; durations in seconds."""

    schedule: Sequence[float]  # wait before each charged attempt
    unknown_window: float
    jitter: float = 0.0  # this batch's draw, 0 … JITTER


def current_policy() -> Policy:
    """Return the policy of the settings, with a jitter of its own for one batch."""
    return Policy(
        settings.OUTBOUND_RETRY_SCHEDULE_SECONDS,
        settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS,
        random.uniform(0, JITTER),  # noqa: S311 - spreads load, hides nothing
    )


class Charged(Protocol):
    """What a decision asks of the message."""

    attempt_count: int
    max_attempts: int
    last_attempt_number: int
    lease_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error as both ways report it: the answer of a call, or a failed status."""

    outcome: Outcome
    code: str
    text: str
    rule: ErrorRule | None
    asked_wait: float | None = None  # what the provider asked for, seconds


def after_result(
    message: Charged,
    result: Result,
    policy: Policy,
    now: datetime,
    *,
    in_outage: bool = False,
) -> Verdict:
    """Decide from the provider's answer; the attempt is not yet counted on the message.

    ``in_outage``: the provider circuit was open and this failure is one more sign of it, so
    that the attempt is free and the circuit, not a schedule, holds the message back.
    """
    trouble = Trouble(
        result.outcome,
        result.error_code,
        result.error_message,
        result.rule,
        result.retry_after_seconds,
    )
    if result.outcome == Outcome.ACCEPTED:
        return Verdict(Status.SENT)
    if result.outcome == Outcome.NOT_SENT:
        free = message.last_attempt_number - message.attempt_count - 1
        wait = min(NOT_SENT_FIRST_SECONDS * 2.0 ** min(free, 8), NOT_SENT_LONGEST_SECONDS)
        return _queued(trouble, _after(now, wait, policy))
    if result.outcome == Outcome.UNKNOWN:
        # Evidence may still come by webhook: wait for it from the lease's end.
        from_time = message.lease_expires_at or now
        return Verdict(
            Status.SENDING,
            wait_until=from_time + timedelta(seconds=policy.unknown_window),
            code=trouble.code,
            text=trouble.text,
        )
    if in_outage:
        return _queued(trouble, now)
    return after_trouble(message, trouble, policy, now, used=message.attempt_count + 1)


def is_outage(result: Result) -> bool:
    """Say whether the call failed as calls do while the provider is down."""
    if result.outcome == Outcome.NOT_SENT:
        return result.error_code == CONNECTION
    if result.outcome == Outcome.UNKNOWN or result.error_code in OUTAGE_CODES:
        return True
    return result.http_status is not None and result.http_status >= SERVER_ERRORS


def came_through(result: Result) -> bool:
    """Say whether the provider answered as it does when it is up."""
    return result.http_status is not None and not is_outage(result)


def after_failed_receipt(
    message: Charged, trouble: Trouble, policy: Policy, now: datetime
) -> Verdict:
    """Decide from a failed status; its attempt was counted when the call was answered."""
    return after_trouble(message, trouble, policy, now, used=max(message.attempt_count, 1))


def after_trouble(
    message: Charged, trouble: Trouble, policy: Policy, now: datetime, *, used: int
) -> Verdict:
    """Decide from a refusal; ``used`` counts the charged attempts with this one."""
    if trouble.outcome == Outcome.THROTTLED:
        return _throttled(message, trouble, policy, now)
    left = message.max_attempts - used
    number = len(policy.schedule) - left  # attempts used since the last requeue
    limit = trouble.rule.max_attempts if trouble.rule else None
    worn_out = left <= 0 or (limit is not None and number >= limit)
    if trouble.outcome == Outcome.REJECTED or worn_out:
        return Verdict(Status.FAILED, code=trouble.code, text=trouble.text)
    position = max(1, min(number, len(policy.schedule) - 1))
    named = trouble.rule.wait_seconds if trouble.rule else None
    wait = max(policy.schedule[position], trouble.asked_wait or 0.0, named or 0.0)
    return _queued(trouble, _after(now, wait, policy))


def _throttled(message: Charged, trouble: Trouble, policy: Policy, now: datetime) -> Verdict:
    rule = trouble.rule
    if rule is not None and rule.scope == Scope.PAIR:
        free = message.last_attempt_number - message.attempt_count - 1
        wait = PAIR_BASE ** max(0, min(free, PAIR_LARGEST_EXPONENT))
        return _queued(trouble, _after(now, max(wait, trouble.asked_wait or 0.0), policy))
    pause = pause_for(trouble, policy, now)
    if pause is None:
        return _queued(trouble, _after(now, _throttle_wait(trouble), policy))
    # The pause holds it back, not its own due time: lifting the pause frees it at once.
    return replace(_queued(trouble, now), pause=pause)


def pause_for(trouble: Trouble, policy: Policy, now: datetime) -> Pause | None:
    """Return what must stand still for a limit or stop; None when it concerns one message."""
    rule = trouble.rule
    scope = rule.scope if rule else Scope.NUMBER
    if trouble.outcome != Outcome.THROTTLED or scope not in PAUSABLE:
        return None
    stop = rule.stop if rule else ""
    wait = _throttle_wait(trouble)
    return Pause(
        scope=scope,
        until=None if stop else _after(now, max(wait, 1.0), policy),
        cause=stop or ("template" if scope == Scope.TEMPLATE else "throttle"),
        code=trouble.code,
        text=trouble.text,
        at=now,
        longest=None if trouble.asked_wait else _longest(rule),
    )


def _throttle_wait(trouble: Trouble) -> float:
    named = trouble.rule.wait_seconds if trouble.rule else None
    return trouble.asked_wait or named or DEFAULT_THROTTLE_SECONDS


def _longest(rule: ErrorRule | None) -> timedelta | None:
    if rule is None or rule.longest_wait_seconds is None:
        return None
    return timedelta(seconds=rule.longest_wait_seconds)


def _queued(trouble: Trouble, due_at: datetime) -> Verdict:
    return Verdict(Status.QUEUED, due_at=due_at, code=trouble.code, text=trouble.text)


def _after(now: datetime, wait: float, policy: Policy) -> datetime:
    return now + timedelta(seconds=wait * (1 + policy.jitter))
