"""Counters and kept numbers agree with the messages, whatever moves them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from messaging import metrics, operations, rescue, retention, statuses, stock
from messaging.models import OutboundMessage
from messaging.operations import Instruction
from messaging.providers.base import Outcome
from messaging.states import Cause, Status
from orgs import database
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory
from tests.fakes import ScriptedProvider
from tests.messaging.test_retention import message_of_age
from tests.messaging.test_statuses import TRANSIENT, receipt, sent_message

pytestmark = [pytest.mark.django_db, pytest.mark.core]

CHANNEL = "WHATSAPP"
STAFF = Instruction(Cause.STAFF, "user:1", "a test")


def consented(**fields: object) -> OutboundMessage:
    message = MessageFactory(**fields)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    stock.recount()
    return message


def assert_true(queue_depth: int, dead_letters: int) -> None:
    """The kept numbers are the given ones, and counting finds nothing to correct."""
    assert stock.read() == stock.Stock(queue_depth, dead_letters)
    assert stock.recount() == 0


def test_an_accepted_message_counts(api, org, number):
    ConsentFactory(contact=ContactFactory(org=org, phone="+12025550123"))
    body = {
        "to": "+12025550123",
        "type": "template",
        "category": "utility",
        "template": {"name": "order_update", "language": "en_US"},
    }
    for key in ("a", "b", "b"):
        answer = api.post(
            "/api/v1/outbound-messages", body, format="json", headers={"Idempotency-Key": key}
        )
        assert answer.status_code in {200, 201}
    assert metrics.QUEUED.value(CHANNEL) == 2
    assert_true(2, 0)


def test_a_sent_message_counts_once_and_leaves_the_queue(provider: ScriptedProvider):
    message = consented()
    send_due()
    assert metrics.SENT.value(CHANNEL) == 1
    assert_true(0, 0)
    with transaction.atomic():
        number = message.phone_number
        told = [(receipt(message, status), number) for status in ("sent", "delivered", "read")]
        statuses.apply(told, database.now())
    assert metrics.SENT.value(CHANNEL) == 1
    assert_true(0, 0)


def test_an_attempt_that_is_repeated_counts_as_a_retry(provider: ScriptedProvider, settings):
    settings.OUTBOUND_RETRY_SCHEDULE_SECONDS = [0, 0]
    consented(max_attempts=2)
    provider.answer(Outcome.RETRY, error_code="131000", http_status=400)
    send_due()
    assert metrics.RETRIED.value(CHANNEL) == 1
    assert_true(1, 0)
    send_due()
    assert metrics.RETRIED.value(CHANNEL) == 1
    assert metrics.FAILED.value(CHANNEL, "131000") == 1
    assert_true(0, 1)


@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.NOT_SENT])
def test_waiting_is_no_retry(provider: ScriptedProvider, outcome):
    consented()
    provider.answer(outcome, error_code="130429")
    send_due()
    assert metrics.RETRIED.value(CHANNEL) == 0
    assert_true(1, 0)


def test_a_reported_failure_that_is_repeated_counts_as_a_retry():
    message = sent_message()
    stock.recount()
    with transaction.atomic():
        told = receipt(message, "failed", error_code="131000", rule=TRANSIENT)
        statuses.apply([(told, message.phone_number)], database.now())
    assert metrics.RETRIED.value(CHANNEL) == 1
    assert_true(1, 0)


def test_a_dead_letter_that_is_requeued_and_cancelled_leaves_nothing_behind():
    message = consented(status=Status.FAILED, error_code="131026")
    assert_true(0, 1)
    assert operations.requeue([message.pk], STAFF)
    assert_true(1, 0)
    assert operations.cancel([message.pk], STAFF)
    assert_true(0, 0)


def test_campaign_outcomes_are_no_dead_letters():
    consented(status=Status.FAILED, error_code="131049")
    assert_true(0, 0)


def test_an_answer_that_is_never_found_counts_where_it_ends():
    ended = database.now() - timedelta(minutes=10)
    for policy in ("hold", "resend"):
        message = consented(
            status=Status.SENDING,
            on_unknown=policy,
            last_attempt_number=1,
            lease_expires_at=ended,
        )
        message.attempts.create(
            attempt_number=1, claim_id=message.claim_id, started_at=ended, outcome="UNKNOWN"
        )
    assert_true(2, 0)
    rescue.rescue_overdue()
    assert metrics.RETRIED.value(CHANNEL) == 1
    assert metrics.FAILED.value(CHANNEL, "DELIVERY_UNKNOWN") == 1
    assert_true(1, 1)


def test_deleted_dead_letters_leave_the_number(settings):
    settings.OUTBOUND_MESSAGE_RETENTION_DAYS = 1
    for place, status in enumerate([Status.FAILED, Status.FAILED, Status.SENT]):
        message_of_age(2, status, place)
    stock.recount()
    assert stock.dead_letters() == 2
    assert retention.purge_messages() == 3
    assert_true(0, 0)


def test_numbers_that_have_drifted_are_corrected():
    MessageFactory(status=Status.FAILED, error_code="131026")
    MessageFactory()
    assert stock.read() == stock.Stock(0, 0)
    assert stock.recount() == 2
    assert_true(1, 1)
    OutboundMessage.objects.all().delete()
    assert stock.recount() == 2
    assert_true(0, 0)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("131026", "131026"),
        ("DELIVERY_UNKNOWN", "DELIVERY_UNKNOWN"),
        ("", "none"),
        ("+49 1", "other"),
    ],
)
def test_only_codes_are_labels(code, label):
    assert metrics.code_label(code) == label
