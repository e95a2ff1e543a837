from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from messaging import claims, statuses
from messaging.models import MessageEvent, OutboundMessage, WebhookEvent
from messaging.providers.base import ErrorRule, Outcome, Receipt, Scope
from messaging.providers.whatsapp import callback
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.states import Status
from ratelimit.models import Hold, PairUsage, WhatsAppRateLimit
from ratelimit.rules import Limit
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import AttemptFactory, MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TRANSIENT = ErrorRule("131000", Outcome.RETRY, Scope.MESSAGE, "t", "a")
Result = WebhookEvent.Result


def sent_message(**fields: object) -> OutboundMessage:
    """A message whose first call was accepted as wamid.1."""
    values = {"status": Status.SENT, "last_attempt_number": 1, "attempt_count": 1} | fields
    message = MessageFactory(provider_message_id="wamid.1", **values)
    AttemptFactory(
        message=message,
        outcome="ACCEPTED",
        charged=True,
        finished_at=timezone.now(),
        provider_message_id="wamid.1",
    )
    return message


def receipt(message: OutboundMessage, status: str, second: int = 0, **fields: object) -> Receipt:
    return Receipt(
        **{
            "provider_message_id": "wamid.1",
            "status": status,
            "at": AT + timedelta(seconds=second),
            "phone_number_id": message.phone_number.phone_number_id,
            "account_id": message.phone_number.account.waba_id,
            "callback_data": callback.encode("outbound", message.pk.hex, 1),
            **fields,
        }
    )


def apply(message: OutboundMessage, *receipts: Receipt) -> list[str]:
    with transaction.atomic():
        pairs = [(item, message.phone_number) for item in receipts]
        outcomes = statuses.apply(pairs, timezone.now())
    message.refresh_from_db()
    return [outcome.result for outcome in outcomes]


def test_delivered_then_read_sets_both_times():
    message = sent_message()
    apply(message, receipt(message, "delivered", 1), receipt(message, "read", 2))
    assert message.status == Status.DELIVERED
    assert message.delivered_at == AT + timedelta(seconds=1)
    assert message.read_at == AT + timedelta(seconds=2)


def test_read_alone_implies_delivered():
    message = sent_message()
    apply(message, receipt(message, "read", 3))
    assert message.status == Status.DELIVERED
    assert message.delivered_at == message.read_at == AT + timedelta(seconds=3)


@pytest.mark.parametrize("words", [("sent", "delivered"), ("delivered", "sent")])
def test_the_price_is_kept_whichever_status_tells_it(words):
    message = sent_message()
    for word in words:
        price = "PMP/regular/marketing" if word == "sent" else ""
        apply(message, receipt(message, word, pricing=price))
    assert message.pricing == "PMP/regular/marketing"


def test_a_repeated_status_changes_nothing():
    message = sent_message()
    assert apply(message, receipt(message, "delivered")) == [Result.APPLIED]
    assert apply(message, receipt(message, "delivered")) == [Result.UNCHANGED]
    assert MessageEvent.objects.filter(message=message).count() == 1


def test_a_late_sent_does_not_undo_delivered():
    message = sent_message()
    apply(message, receipt(message, "delivered", 1))
    apply(message, receipt(message, "sent", 0))
    assert message.status == Status.DELIVERED


def test_a_failed_status_keeps_code_and_text():
    message = sent_message()
    failure = receipt(message, "failed", error_code="131026", error_message="Undeliverable")
    apply(message, failure)
    assert (message.status, message.error_code) == (Status.FAILED, "131026")
    assert message.error_message == "Undeliverable"


def test_delivered_beats_failed():
    message = sent_message()
    apply(message, receipt(message, "failed", 0, error_code="131026"))
    apply(message, receipt(message, "delivered", 1))
    assert (message.status, message.error_code) == (Status.DELIVERED, "")
    assert message.failed_at is None


def test_a_status_that_refuses_for_throughput_halves_the_numbers_rate_once():
    message = sent_message()
    failure = receipt(message, "failed", error_code="130429", rule=DEFAULT_TABLE.rules["130429"])
    for _ in range(2):
        apply(message, failure)
        message.phone_number.refresh_from_db()
        assert message.phone_number.rate_share == 500
    assert message.status == Status.QUEUED
    assert Hold.objects.get().scope == Hold.Scope.NUMBER


def test_a_status_that_refuses_for_the_pair_holds_others_to_the_person():
    message = sent_message()
    apply(
        message,
        receipt(message, "failed", error_code="131056", rule=DEFAULT_TABLE.rules["131056"]),
    )
    assert PairUsage.objects.get().contact_id == message.contact_id
    ConsentFactory(contact=message.contact)
    other = MessageFactory(phone_number=message.phone_number, contact=message.contact)
    assert not claims.claim_due(10).messages
    other.refresh_from_db()
    assert other.held_by == Limit.PAIR


def test_a_status_that_throttles_the_only_account_throttles_the_organization():
    message = sent_message()
    apply(
        message, receipt(message, "failed", error_code="80007", rule=DEFAULT_TABLE.rules["80007"])
    )
    assert WhatsAppRateLimit.objects.get(org=message.org).throttled_until > timezone.now()


def test_a_transient_failed_status_is_retried():
    message = sent_message()
    apply(message, receipt(message, "failed", error_code="131000", rule=TRANSIENT))
    assert message.status == Status.QUEUED
    assert message.due_at > timezone.now()


def test_a_late_sent_does_not_swallow_the_retry():
    message = sent_message()
    apply(message, receipt(message, "failed", 1, error_code="131000", rule=TRANSIENT))
    apply(message, receipt(message, "sent", 0))
    assert message.status == Status.QUEUED


def test_a_failure_of_an_earlier_attempt_does_not_count():
    message = sent_message(last_attempt_number=2)
    AttemptFactory(message=message, attempt_number=2, outcome="ACCEPTED")
    apply(message, receipt(message, "failed", error_code="131026"))
    assert message.status == Status.SENT


def test_a_delivery_of_an_earlier_attempt_counts():
    message = sent_message(last_attempt_number=2)
    AttemptFactory(message=message, attempt_number=2, outcome="ACCEPTED")
    apply(message, receipt(message, "delivered"))
    assert message.status == Status.DELIVERED


def test_a_status_before_the_answer_is_matched_by_our_own_id():
    message = MessageFactory(status=Status.SENDING, last_attempt_number=1)
    AttemptFactory(message=message, claim_id=message.claim_id)
    assert apply(message, receipt(message, "sent")) == [Result.APPLIED]
    attempt = message.attempts.get()
    assert message.status == Status.SENT
    assert (attempt.provider_message_id, attempt.outcome) == ("wamid.1", "ACCEPTED")


def test_a_status_proves_an_unknown_attempt():
    message = MessageFactory(status=Status.SENDING, last_attempt_number=1, attempt_count=1)
    AttemptFactory(message=message, outcome="UNKNOWN", charged=True, finished_at=timezone.now())
    apply(message, receipt(message, "delivered"))
    assert (message.status, message.attempts.get().outcome) == (Status.DELIVERED, "ACCEPTED")
    assert message.attempt_count == 1


def test_sent_revives_a_message_given_up_without_evidence():
    message = sent_message(status=Status.FAILED, error_code="DELIVERY_UNKNOWN")
    apply(message, receipt(message, "sent"))
    assert message.status == Status.SENT


def test_sent_does_not_revive_a_message_that_failed():
    message = sent_message(status=Status.FAILED, error_code="131026")
    apply(message, receipt(message, "sent"))
    assert message.status == Status.FAILED


def test_a_status_without_our_id_is_matched_by_wamid():
    message = sent_message()
    assert apply(message, receipt(message, "delivered", callback_data="")) == [Result.APPLIED]


@pytest.mark.parametrize(
    "fields",
    [
        {"provider_message_id": "wamid.other"},
        {"callback_data": "", "provider_message_id": "wamid.other"},
        {"callback_data": callback.encode("staging", "0" * 32, 1), "provider_message_id": "x"},
    ],
)
def test_a_status_of_somebody_elses_message_matches_nothing(fields):
    message = sent_message()
    assert apply(message, receipt(message, "delivered", **fields)) == [Result.UNMATCHED]
    assert message.status == Status.SENT


def test_a_status_from_another_number_matches_nothing():
    message = sent_message()
    stranger = PhoneNumberFactory()
    with transaction.atomic():
        (outcome,) = statuses.apply([(receipt(message, "delivered"), stranger)], timezone.now())
    assert outcome.result == Result.UNMATCHED


def test_an_unknown_word_moves_nothing():
    message = sent_message()
    assert apply(message, receipt(message, "teleported")) == [Result.KEPT]
    assert message.status == Status.SENT


def _end(message: OutboundMessage) -> tuple[object, ...]:
    attempt = message.attempts.get()
    return (
        message.status,
        message.sent_at,
        message.delivered_at,
        message.read_at,
        attempt.receipts,
        message.attempt_count,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("sent", "delivered", "read"),
        ("sent", "failed", "delivered"),
        ("sent", "failed"),
        ("sent", "delivered", "failed", "read"),
    ],
)
def test_any_order_and_split_ends_the_same(words):
    ends = set()
    for order in itertools.permutations(enumerate(words)):
        for together in (True, False):
            message = sent_message(sent_at=None)
            events = [
                receipt(message, word, second, error_code="131026" if word == "failed" else "")
                for second, word in (*order, order[0])
            ]
            if together:
                apply(message, *events)
            else:
                for event in events:
                    apply(message, event)
            ends.add(_end(message))
            message.attempts.all().delete()
    assert len(ends) == 1
