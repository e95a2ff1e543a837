from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import rescue
from messaging.models import OutboundMessage
from messaging.states import Status
from tests.factories.messaging import AttemptFactory, MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LONG_AGO = timedelta(minutes=30)


def abandoned(*, outcome: str = "STARTED", **fields: object) -> OutboundMessage:
    """A claimed message whose lease ran out half an hour ago."""
    past = timezone.now() - LONG_AGO
    message = MessageFactory(
        status=Status.SENDING, last_attempt_number=1, lease_expires_at=past, **fields
    )
    AttemptFactory(message=message, outcome=outcome, claim_id=message.claim_id)
    return message


def test_a_claim_in_force_is_left_alone():
    MessageFactory(status=Status.SENDING)
    assert rescue.rescue_overdue() == 0


def test_the_answer_of_a_dead_worker_is_unknown_and_waits_for_evidence(settings):
    settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS = 3600
    message = abandoned()
    before = timezone.now()
    assert rescue.rescue_overdue() == 1
    message.refresh_from_db()
    attempt = message.attempts.get()
    assert (message.status, attempt.outcome) == (Status.SENDING, "UNKNOWN")
    wait = message.lease_expires_at - before
    assert timedelta(seconds=3600) <= wait < timedelta(seconds=3660)
    assert message.attempt_count == 1


def test_after_a_long_outage_the_evidence_still_gets_its_time(settings):
    settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS = 60
    message = abandoned()
    for _ in range(2):
        rescue.rescue_overdue()
    message.refresh_from_db()
    assert message.status == Status.SENDING


@pytest.mark.parametrize("category", ["utility", "authentication", "service"])
def test_without_evidence_a_message_is_sent_again(category):
    message = abandoned(outcome="UNKNOWN", category=category, attempt_count=1)
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert message.status == Status.QUEUED
    assert message.due_at <= timezone.now()


def test_without_evidence_marketing_goes_to_the_dead_letters():
    message = abandoned(outcome="UNKNOWN", category="marketing", attempt_count=1)
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.FAILED, "DELIVERY_UNKNOWN")


def test_without_evidence_and_attempts_it_goes_to_the_dead_letters():
    message = abandoned(outcome="UNKNOWN", category="utility", attempt_count=5)
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.FAILED, "DELIVERY_UNKNOWN")


def test_an_answer_stored_too_late_for_its_claim_still_counts():
    message = abandoned(outcome="ACCEPTED")
    message.attempts.update(provider_message_id="wamid.late", finished_at=timezone.now())
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert (message.status, message.provider_message_id) == (Status.SENT, "wamid.late")


def test_both_steps_bring_a_message_out_of_sending(settings):
    settings.OUTBOUND_UNKNOWN_WINDOW_SECONDS = 0
    message = abandoned()
    rescue.rescue_overdue()
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert message.status == Status.QUEUED


@pytest.mark.parametrize(
    ("category", "of_org", "of_message", "status"),
    [
        ("marketing", "resend", "", Status.QUEUED),
        ("utility", "hold", "", Status.FAILED),
        ("utility", "hold", "resend", Status.QUEUED),
        ("marketing", "resend", "hold", Status.FAILED),
        ("marketing", "", "resend", Status.QUEUED),
    ],
)
def test_the_message_and_then_its_organization_decide_about_a_lost_answer(
    category, of_org, of_message, status
):
    message = abandoned(
        outcome="UNKNOWN", category=category, attempt_count=1, on_unknown=of_message
    )
    message.org.on_unknown = of_org
    message.org.save()
    rescue.rescue_overdue()
    message.refresh_from_db()
    assert message.status == status
