"""An outage of the provider holds the queue, lets one message try, and costs nobody attempts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import claims, rescue
from messaging.models import OutboundMessage
from messaging.providers.base import Outcome, Outgoing, Result
from messaging.states import Status
from ratelimit.models import FailureStreak, Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.fakes import ScriptedProvider, accepted

pytestmark = [pytest.mark.django_db, pytest.mark.core]

DOWN = {
    "server error": {"outcome": Outcome.UNKNOWN, "error_code": "502", "http_status": 502},
    "code 2": {"outcome": Outcome.RETRY, "error_code": "2", "http_status": 500},
    "code 131016": {"outcome": Outcome.RETRY, "error_code": "131016", "http_status": 400},
    "no connection": {"outcome": Outcome.NOT_SENT, "error_code": "CONNECTION"},
    "no answer": {"outcome": Outcome.UNKNOWN, "error_code": "TIMEOUT"},
}


@pytest.fixture
def number():
    return PhoneNumberFactory()


def queue(number, count: int) -> list[OutboundMessage]:
    messages = [MessageFactory(phone_number=number) for _ in range(count)]
    for message in messages:
        ConsentFactory(contact=message.contact)
    return messages


def circuit() -> Hold | None:
    return Hold.objects.filter(cause="provider_unavailable").first()


def probe_now() -> None:
    Hold.objects.update(probe_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("sign", DOWN.values(), ids=DOWN.keys())
def test_failures_of_different_messages_in_a_row_open_the_circuit(provider, number, sign):
    provider.answer(**sign)
    queue(number, 5)
    send_due()
    hold = circuit()
    assert hold is not None
    assert (hold.scope, hold.key) == ("app", number.account.app.app_id)
    queue(number, 3)
    assert send_due() == 0


def test_one_bad_message_is_no_outage(provider: ScriptedProvider, number, settings):
    settings.OUTBOUND_RETRY_SCHEDULE_SECONDS = [0] * 5
    provider.answer(Outcome.RETRY, error_code="131016", http_status=500)
    (message,) = queue(number, 1)
    while send_due():
        pass
    message.refresh_from_db()
    assert (message.status, message.attempt_count) == (Status.FAILED, 5)
    assert circuit() is None


def test_an_answer_in_between_ends_the_row(provider: ScriptedProvider, number):
    provider.answer(**DOWN["code 2"])
    queue(number, 4)
    send_due()
    assert FailureStreak.objects.count() == 1
    provider.answer(Outcome.REJECTED, error_code="131026", http_status=400)
    queue(number, 1)
    send_due()
    assert FailureStreak.objects.count() == 0


def test_failures_of_one_app_leave_another_alone(provider: ScriptedProvider, number):
    other = PhoneNumberFactory()
    bad = number.phone_number_id

    def script(outgoing: Outgoing) -> Result:
        if outgoing.sender.phone_number_id == bad:
            return Result(outgoing.key, **DOWN["code 2"])
        return accepted(outgoing)

    provider.script = script
    queue(number, 5)
    send_due()
    queue(other, 2)
    send_due()
    assert OutboundMessage.objects.filter(status=Status.SENT).count() == 2
    assert circuit() is not None


def test_one_message_at_a_time_tries_and_is_not_charged(provider: ScriptedProvider, number):
    provider.answer(**DOWN["code 2"])
    queue(number, 5)
    send_due()
    fresh = queue(number, 4)
    before = len(provider.sent)
    for _ in range(3):
        assert send_due() == 0
        probe_now()
        assert send_due() == 1
    assert len(provider.sent) == before + 3
    counts = OutboundMessage.objects.filter(pk__in=[message.pk for message in fresh])
    assert set(counts.values_list("status", "attempt_count")) == {(Status.QUEUED, 0)}
    assert circuit().probes == 3


def test_two_workers_do_not_probe_at_once(provider: ScriptedProvider, number):
    provider.answer(**DOWN["code 2"])
    queue(number, 5)
    send_due()
    queue(number, 4)
    probe_now()
    assert len(claims.claim_due(100).messages) == 1
    assert claims.claim_due(100) is None


def test_the_first_answer_closes_the_circuit_and_all_go(provider: ScriptedProvider, number):
    provider.answer(**DOWN["no connection"])
    queue(number, 5)
    send_due()
    later = queue(number, 4)
    provider.script = accepted
    probe_now()
    assert send_due() == 1
    assert circuit() is None
    assert FailureStreak.objects.count() == 0
    send_due()
    sent = OutboundMessage.objects.filter(pk__in=[m.pk for m in later], status=Status.SENT)
    assert sent.count() == 4


def decide_without_evidence() -> None:
    past = timezone.now() - timedelta(seconds=1)
    OutboundMessage.objects.filter(status=Status.SENDING).update(lease_expires_at=past)
    rescue.rescue_overdue()


@pytest.mark.parametrize("sign", DOWN.values(), ids=DOWN.keys())
def test_a_long_outage_ends_with_every_message_sent_and_nothing_dead(
    provider, number, settings, sign
):
    """Half an hour, shortened: each round stands for a probe, and new messages keep coming."""
    settings.OUTBOUND_RETRY_SCHEDULE_SECONDS = [0] * 5
    provider.answer(**sign)
    queue(number, 5)
    for _ in range(40):
        probe_now()
        send_due()
        decide_without_evidence()
        queue(number, 2)
    provider.script = accepted
    for _ in range(5):
        OutboundMessage.objects.filter(status=Status.QUEUED).update(due_at=timezone.now())
        probe_now()
        send_due()
        decide_without_evidence()
    found = OutboundMessage.objects.values_list("status", "attempt_count")
    # Only what failed before the circuit opened has spent an attempt on the outage.
    assert set(found) <= {(Status.SENT, 1), (Status.SENT, 2)}
