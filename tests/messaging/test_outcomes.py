from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from messaging import outcomes
from messaging.models import OutboundMessage
from messaging.outcomes import Policy
from messaging.providers.base import ErrorRule, Outcome, Result, Scope
from messaging.states import Status

pytestmark = pytest.mark.core

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=60)
POLICY = Policy(schedule=[0, 60, 120, 240, 480], unknown_window=300)


def message(*, attempts: int = 0, limit: int = 5, calls: int = 1) -> OutboundMessage:
    return OutboundMessage(
        attempt_count=attempts,
        max_attempts=limit,
        last_attempt_number=calls,
        lease_expires_at=LEASE,
        status=Status.SENDING,
    )


def rule(outcome: Outcome, scope: Scope = Scope.MESSAGE, **fields: object) -> ErrorRule:
    return ErrorRule("1", outcome, scope, "title", "advice", **fields)


def decide(result: Result, row: OutboundMessage | None = None) -> outcomes.Verdict:
    return outcomes.after_result(row or message(), result, POLICY, NOW)


def waited(verdict: outcomes.Verdict) -> float:
    assert verdict.due_at is not None
    return (verdict.due_at - NOW).total_seconds()


def test_an_accepted_call_is_sent():
    assert decide(Result("k", Outcome.ACCEPTED)).to == Status.SENT


def test_a_refusal_fails_with_its_code():
    verdict = decide(Result("k", Outcome.REJECTED, error_code="131009", error_message="bad"))
    assert (verdict.to, verdict.code, verdict.text) == (Status.FAILED, "131009", "bad")


@pytest.mark.parametrize(("used", "seconds"), [(0, 60), (1, 120), (2, 240), (3, 480)])
def test_retries_wait_one_two_four_and_eight_minutes(used, seconds):
    verdict = decide(Result("k", Outcome.RETRY), message(attempts=used, calls=used + 1))
    assert (verdict.to, waited(verdict)) == (Status.QUEUED, seconds)


def test_the_fifth_failure_is_the_last():
    assert decide(Result("k", Outcome.RETRY), message(attempts=4)).to == Status.FAILED


def test_a_requeued_message_starts_the_schedule_anew():
    verdict = decide(Result("k", Outcome.RETRY), message(attempts=5, limit=10, calls=6))
    assert waited(verdict) == 60


def test_a_rule_may_allow_fewer_attempts():
    once = rule(Outcome.RETRY, max_attempts=2)
    first = decide(Result("k", Outcome.RETRY, rule=once), message(attempts=0))
    second = decide(Result("k", Outcome.RETRY, rule=once), message(attempts=1))
    assert (first.to, second.to) == (Status.QUEUED, Status.FAILED)


def test_the_provider_may_ask_for_a_longer_wait():
    verdict = decide(Result("k", Outcome.RETRY, retry_after_seconds=600))
    assert waited(verdict) == 600


def test_not_sent_backs_off_from_five_to_sixty_seconds():
    waits = [
        waited(decide(Result("k", Outcome.NOT_SENT), message(calls=calls))) for calls in range(1, 8)
    ]
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_the_pair_limit_waits_by_powers_of_four_and_pauses_nobody_else():
    pair = rule(Outcome.THROTTLED, Scope.PAIR)
    verdicts = [
        decide(Result("k", Outcome.THROTTLED, rule=pair), message(calls=calls))
        for calls in range(1, 7)
    ]
    assert [waited(verdict) for verdict in verdicts] == [1, 4, 16, 64, 256, 256]
    assert all(verdict.pause is None for verdict in verdicts)


def test_a_throttled_number_is_paused_and_the_message_stays_due():
    throttle = rule(Outcome.THROTTLED, Scope.NUMBER, wait_seconds=2)
    verdict = decide(Result("k", Outcome.THROTTLED, error_code="130429", rule=throttle))
    assert (verdict.to, waited(verdict)) == (Status.QUEUED, 0)
    assert verdict.pause is not None
    assert (verdict.pause.scope, verdict.pause.cause) == (Scope.NUMBER, "throttle")
    assert verdict.pause.until == NOW + timedelta(seconds=2)


def test_a_refused_token_stops_the_account_and_fails_nothing():
    stop = rule(Outcome.THROTTLED, Scope.ACCOUNT, stop="credentials")
    verdict = decide(Result("k", Outcome.THROTTLED, error_code="190", rule=stop))
    assert verdict.to == Status.QUEUED
    assert verdict.pause is not None
    assert verdict.pause.cause == "credentials"
    assert verdict.pause.until is None  # until staff or Meta says that all is well


def test_a_lost_answer_waits_for_evidence_from_the_leases_end():
    verdict = decide(Result("k", Outcome.UNKNOWN, error_code="TIMEOUT"))
    assert (verdict.to, verdict.wait_until) == (Status.SENDING, LEASE + timedelta(seconds=300))
