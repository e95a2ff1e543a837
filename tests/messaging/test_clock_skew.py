"""A worker whose clock is wrong by minutes sends nothing early, late or twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from messaging import claims, limits, rescue
from messaging.providers.base import Outcome
from messaging.states import Status
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory
from tests.fakes import ScriptedProvider

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

SKEWS = [timedelta(minutes=-5), timedelta(minutes=5)]


def consented(**fields: object):
    message = MessageFactory(**fields)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    return message


@pytest.fixture(params=SKEWS, ids=["behind", "ahead"])
def skewed(request) -> time_machine.travel:
    """Enter it to be a worker with a wrong clock."""
    return time_machine.travel(timezone.now() + request.param, tick=True)


def test_nothing_goes_before_it_is_due(provider: ScriptedProvider, skewed):
    consented(due_at=timezone.now() + timedelta(minutes=2))
    with skewed:
        assert send_due() == 0


def test_what_is_due_goes(provider: ScriptedProvider, skewed):
    consented(due_at=timezone.now() - timedelta(seconds=1))
    with skewed:
        assert send_due() == 1


def test_a_claim_in_force_is_nobody_elses(skewed):
    message = consented()
    claims.claim_due(10)
    with skewed:
        assert rescue.rescue_overdue() == 0
        assert claims.claim_due(10) is None
    message.refresh_from_db()
    assert message.status == Status.SENDING


def test_an_expired_message_is_not_sent_and_a_living_one_is(provider: ScriptedProvider, skewed):
    now = timezone.now()
    gone = consented(expires_at=now - timedelta(seconds=1))
    living = consented(expires_at=now + timedelta(minutes=2))
    with skewed:
        send_due()
    gone.refresh_from_db()
    assert gone.error_code == "EXPIRED"
    assert [outgoing.key for outgoing in provider.sent] == [str(living.pk)]


def test_a_retry_waits_its_time_by_the_shared_clock(provider: ScriptedProvider, skewed):
    provider.answer(Outcome.RETRY, error_code="131000")
    message = consented()
    with skewed:
        send_due()
    message.refresh_from_db()
    wait = message.due_at - timezone.now()
    assert timedelta(seconds=50) < wait < timedelta(seconds=80)


class Stalling:
    """The two clocks of a process that stalls while it asks the shared one."""

    def __init__(self, stalls: list[float]) -> None:
        self.stalls = iter(stalls)
        self.passed = 0.0
        self.began = timezone.now()

    def shared(self):
        asked = self.began + timedelta(seconds=self.passed)
        self.passed += next(self.stalls)
        return asked

    def own(self) -> float:
        return self.passed


@pytest.fixture
def stalling(monkeypatch):
    def make(*stalls: float) -> Stalling:
        clocks = Stalling([*stalls])
        monkeypatch.setattr(limits.database, "now", clocks.shared)
        monkeypatch.setattr(limits, "steady_seconds", clocks.own)
        return clocks

    return make


def test_a_stall_while_the_clock_is_read_delays_no_start(stalling):
    clocks = stalling(0.5, 0.0)
    clock = limits.Clock.read()
    assert clock.now == clocks.began + timedelta(seconds=0.5)
    assert clock.read_at == 0.5


def test_of_stalls_only_the_shortest_counts(stalling):
    stalling(0.5, 0.2, 0.3)
    clock = limits.Clock.read()
    assert clock.read_at == pytest.approx(0.7)


def test_a_start_never_seems_to_come_sooner_than_it_does(stalling):
    stalling(0.005)
    clock = limits.Clock.read()
    assert clock.steady(clock.micros) == pytest.approx(0.005)
