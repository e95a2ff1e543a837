"""Answers that cannot be written at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection

from messaging import claims, dispatch, recorder
from messaging.in_flight import InFlight
from messaging.models import OutboundMessage
from messaging.pace import Pace
from messaging.providers.base import Outcome, Result
from messaging.recorder import Recorder
from messaging.states import Status
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

COUNT = 3


@pytest.fixture
def flight(monkeypatch) -> InFlight:
    """Claimed messages, whose answers have just come in."""
    monkeypatch.setattr(recorder, "RECORD_AGAIN_SECONDS", (0.0,) * 3)
    monkeypatch.setattr(recorder, "LINGER_SECONDS", 0.0)
    # Closing it would end the test's own transaction.
    monkeypatch.setattr(
        recorder, "connection", SimpleNamespace(close=lambda: None, cursor=connection.cursor)
    )
    number = PhoneNumberFactory()
    for _ in range(COUNT):
        ConsentFactory(contact=MessageFactory(phone_number=number).contact)
    flight = InFlight()
    flight.add((str(message.pk), message) for message in claims.claim_due(10).messages)
    return flight


def answers(flight: InFlight) -> list[Result]:
    keys = [str(pk) for pk in OutboundMessage.objects.values_list("pk", flat=True)]
    return [
        Result(key, Outcome.ACCEPTED, provider_message_id=f"wamid.{key}")
        for key in flight.messages(keys)
    ]


def recording(flight: InFlight, turns: int) -> Recorder:
    made = Recorder(flight, Pace(), lambda: None)
    made.put(answers(flight))
    for _ in range(turns):
        made.turn()
    return made


def sent() -> int:
    return OutboundMessage.objects.filter(status=Status.SENT).count()


def test_answers_are_kept_as_long_as_the_database_is_away(flight, monkeypatch):
    real, away = dispatch.record, [OperationalError] * 10
    monkeypatch.setattr(recorder, "database_answers", lambda: False)

    def record(given):
        if away:
            raise away.pop()
        real(given)

    monkeypatch.setattr(dispatch, "record", record)
    made = recording(flight, 10)
    assert (sent(), made.is_stuck, len(flight)) == (0, True, COUNT)
    made.turn()
    assert (sent(), made.is_stuck, len(flight)) == (COUNT, False, 0)


@pytest.mark.parametrize("fault", [OperationalError, ValueError])
def test_one_answer_that_cannot_be_written_gives_up_no_other(flight, monkeypatch, fault):
    real = dispatch.record
    bad = OutboundMessage.objects.first()

    def record(given):
        if any(message.pk == bad.pk for message, _result in given):
            raise fault
        real(given)

    monkeypatch.setattr(dispatch, "record", record)
    made = recording(flight, 4)
    assert (sent(), made.is_stuck, len(flight)) == (COUNT - 1, False, 0)
    bad.refresh_from_db()
    assert bad.status == Status.SENDING  # for the rescue


def test_at_the_end_of_the_process_answers_are_not_waited_with_for_ever(flight, monkeypatch):
    def away(_given):
        raise OperationalError

    monkeypatch.setattr(dispatch, "record", away)
    monkeypatch.setattr(recorder, "database_answers", lambda: False)
    made = recording(flight, 1)
    made.close()
    made.run()
    assert (sent(), len(flight)) == (0, 0)
