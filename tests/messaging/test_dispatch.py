from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent import ledger
from consent.models import Decision, Source
from messaging import claims, dispatch
from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.providers.base import ErrorRule, Outcome, Result, Scope, steady_seconds
from messaging.providers.whatsapp import callback
from messaging.states import Status
from messaging.waiting import Board
from ratelimit import holds
from ratelimit.models import FailureStreak, Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.fakes import ScriptedProvider, accepted

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def consented(**fields: object):
    message = MessageFactory(**fields)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    return message


def test_a_due_message_is_sent_and_its_attempt_kept(provider: ScriptedProvider):
    message = consented()
    assert send_due() == 1
    message.refresh_from_db()
    attempt = OutboundAttempt.objects.get(message=message)
    assert message.status == Status.SENT
    assert message.provider_message_id == attempt.provider_message_id != ""
    assert (attempt.outcome, attempt.attempt_number, attempt.charged) == ("ACCEPTED", 1, True)
    assert (message.attempt_count, message.sent_at) == (1, message.accepted_at)
    kinds = MessageEvent.objects.filter(message=message).order_by("id")
    assert [event.kind for event in kinds] == ["sending", "accepted"]


def test_the_call_carries_our_own_id(provider: ScriptedProvider):
    message = consented()
    send_due()
    (outgoing,) = provider.sent
    data = callback.decode(outgoing.callback_data)
    assert (data.instance, data.message_id, data.attempt) == ("outbound", message.pk.hex, 1)


def test_a_message_due_later_is_left_alone(provider: ScriptedProvider):
    consented(due_at=timezone.now() + timedelta(minutes=1))
    assert send_due() == 0
    assert provider.sent == []


def test_high_priority_goes_before_bulk(provider: ScriptedProvider, settings):
    settings.OUTBOUND_SEND_CONCURRENCY = 1
    number = PhoneNumberFactory()
    bulk = consented(phone_number=number, priority=30)
    high = consented(phone_number=number, priority=10)
    send_due()
    send_due()
    assert [outgoing.key for outgoing in provider.sent] == [str(high.pk), str(bulk.pk)]


def test_one_number_takes_at_most_half_while_another_is_due(provider, settings):
    settings.OUTBOUND_SEND_CONCURRENCY = 4
    busy, quiet = PhoneNumberFactory(), PhoneNumberFactory()
    for _ in range(10):
        consented(phone_number=busy)
    lone = consented(phone_number=quiet)
    send_due()
    assert str(lone.pk) in {outgoing.key for outgoing in provider.sent}


def test_a_revoked_consent_stops_a_queued_message(provider: ScriptedProvider):
    message = consented()
    entry = ledger.Entry(
        message.contact_id, "WHATSAPP", "transactional", Source.API, "key:x", timezone.now()
    )
    ledger.revoke(message.org, [entry])
    assert send_due() == 0
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")
    assert provider.sent == []


@pytest.mark.parametrize("decision", [Decision.DENIED, Decision.REVOKED])
def test_without_granted_consent_nothing_goes(provider: ScriptedProvider, decision):
    message = MessageFactory()
    ConsentFactory(contact=message.contact, status=decision)
    send_due()
    assert provider.sent == []


def test_an_expired_message_is_cancelled_and_never_sent(provider: ScriptedProvider):
    message = consented(expires_at=timezone.now() - timedelta(seconds=1))
    send_due()
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.CANCELLED, "EXPIRED")
    assert provider.sent == []


def test_a_message_that_expires_after_its_claim_is_not_sent(settings):
    soon = timezone.now() + timedelta(seconds=5)
    consented(expires_at=soon)
    claim = claims.claim_due(10)
    (outgoing,) = dispatch.outgoing(claim)
    left = outgoing.deadline - steady_seconds()
    assert 0 < left <= 5 < claim.deadline - steady_seconds()


def test_messages_of_an_inactive_number_wait_and_say_why(provider: ScriptedProvider):
    message = consented(phone_number=PhoneNumberFactory(is_active=False))
    other = consented()
    assert send_due() == 1
    message.refresh_from_db()
    other.refresh_from_db()
    assert (message.status, other.status) == (Status.QUEUED, Status.SENT)
    assert Board.at(timezone.now()).of(message).reason == "inactive"


def test_a_free_form_message_whose_window_has_closed_fails_by_rule(provider: ScriptedProvider):
    message = consented(kind="text", payload={"body": "hi"})
    send_due()
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.FAILED, "OUTSIDE_SERVICE_WINDOW")


def test_a_failing_call_is_retried_until_the_attempts_are_used_up(provider, settings):
    settings.OUTBOUND_RETRY_SCHEDULE_SECONDS = [0, 0, 0, 0, 0]
    provider.answer(Outcome.RETRY, error_code="131016", error_message="Service unavailable")
    message = consented()
    while send_due():
        pass
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.FAILED, "131016")
    assert (message.attempt_count, message.attempts.count()) == (5, 5)


def test_a_throttled_number_waits_and_is_charged_nothing(provider: ScriptedProvider):
    rule = ErrorRule("130429", Outcome.THROTTLED, Scope.NUMBER, "t", "a", wait_seconds=30)
    provider.answer(Outcome.THROTTLED, error_code="130429", rule=rule)
    message = consented()
    send_due()
    assert send_due() == 0
    message.refresh_from_db()
    hold = Hold.objects.get()
    assert (message.status, message.attempt_count) == (Status.QUEUED, 0)
    assert (hold.scope, hold.key) == ("number", message.phone_number.phone_number_id)


def test_lifting_a_hold_frees_its_messages_at_once(provider: ScriptedProvider):
    rule = ErrorRule("190", Outcome.THROTTLED, Scope.ACCOUNT, "t", "a", stop="credentials")
    provider.answer(Outcome.THROTTLED, error_code="190", rule=rule)
    message = consented()
    send_due()
    holds.lift(Hold.objects.all(), actor="user:1", reason="token renewed")
    provider.script = accepted
    send_due()
    message.refresh_from_db()
    assert message.status == Status.SENT


def test_a_hold_of_one_number_does_not_touch_another(provider: ScriptedProvider):
    held, free = consented(), consented()
    now = timezone.now()
    key = held.phone_number.phone_number_id
    holds.place([holds.HoldRequest("number", key, "throttle", now + timedelta(minutes=5))], now)
    send_due()
    assert [outgoing.key for outgoing in provider.sent] == [str(free.pk)]


def test_a_template_on_hold_steps_back_and_the_others_go(provider: ScriptedProvider):
    rule = ErrorRule("132015", Outcome.THROTTLED, Scope.TEMPLATE, "t", "a", wait_seconds=3600)
    provider.answer(Outcome.THROTTLED, error_code="132015", rule=rule)
    number = PhoneNumberFactory()
    first = consented(phone_number=number, template_name="news", template_language="en")
    send_due()
    first.refresh_from_db()
    provider.sent.clear()
    provider.script = accepted
    held = consented(phone_number=number, template_name="news", template_language="en")
    free = consented(phone_number=number, template_name="order", template_language="en")
    send_due()
    held.refresh_from_db()
    assert [outgoing.key for outgoing in provider.sent] == [str(free.pk)]
    assert (first.status, held.status, held.attempt_count) == (Status.QUEUED, Status.QUEUED, 0)
    assert Hold.objects.get().key == f"{number.account.waba_id}/news/en"
    assert Board.at(timezone.now()).of(held).reason == "template"
    Hold.objects.all().delete()
    assert Board.at(timezone.now()).of(held).reason == "due"


def test_a_lost_answer_keeps_the_message_in_sending(provider: ScriptedProvider):
    provider.answer(Outcome.UNKNOWN, error_code="TIMEOUT")
    message = consented()
    send_due()
    message.refresh_from_db()
    assert (message.status, message.attempt_count) == (Status.SENDING, 1)
    assert message.lease_expires_at > timezone.now() + timedelta(seconds=300)


def test_one_poisonous_message_does_not_stop_the_batch(provider: ScriptedProvider):
    number = PhoneNumberFactory()
    bad, good = consented(phone_number=number), consented(phone_number=number)

    def script(outgoing):
        if outgoing.key == str(bad.pk):
            return Result(outgoing.key, Outcome.REJECTED, error_code="PAYLOAD")
        return accepted(outgoing)

    provider.script = script
    send_due()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.error_code, good.status) == (Status.FAILED, "PAYLOAD", Status.SENT)


PAIR = ErrorRule("131056", Outcome.THROTTLED, Scope.PAIR, "Too many to this person", "Wait.")
ANSWERS = {
    "accepted": {"outcome": Outcome.ACCEPTED},
    "retried": {"outcome": Outcome.RETRY, "error_code": "131000"},
    "rejected": {"outcome": Outcome.REJECTED, "error_code": "131026"},
    "not sent": {"outcome": Outcome.NOT_SENT, "error_code": "CONNECTION"},
    "unknown": {"outcome": Outcome.UNKNOWN, "error_code": "TIMEOUT"},
    "refused for the pair": {"outcome": Outcome.THROTTLED, "error_code": "131056", "rule": PAIR},
}


OF_CIRCUIT = 8  # statements


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
def test_statements_of_claim_and_record_do_not_grow_with_the_batch(provider, settings, said):
    settings.OUTBOUND_SEND_CONCURRENCY = 100
    number = PhoneNumberFactory()
    claiming, recording = [], []
    for count in (1, 1, 10, 50):  # the first time some rows are made
        # Calls that fail one after the other open the circuit, which takes its own statements.
        Hold.objects.all().delete()
        FailureStreak.objects.all().delete()
        tomorrow = timezone.now() + timedelta(days=1)
        OutboundMessage.objects.filter(status=Status.QUEUED).update(due_at=tomorrow)
        for _ in range(count):
            consented(phone_number=number)
        with CaptureQueriesContext(connection) as claimed:
            claim = claims.claim_due(100)
        assert len(claim.messages) == count
        answers = [
            (message, Result(str(message.pk), provider_message_id=f"w{n}-{count}", **said))
            for n, message in enumerate(claim.messages)
        ]
        with CaptureQueriesContext(connection) as recorded:
            dispatch.record(answers)
        claiming.append(len(claimed))
        recording.append(len(recorded))
    assert claiming[1] == claiming[2] == claiming[3]
    assert recording[2] == recording[3]
    assert recording[3] - recording[1] <= OF_CIRCUIT
