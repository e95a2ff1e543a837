"""Answers recorded without reading the message come to the same rows as those with a look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from messaging import acceptance, claims, counting, dispatch, metrics
from messaging.candidates import Claimed
from messaging.models import MessageEvent, OutboundAttempt, OutboundMessage
from messaging.providers.base import Outcome, Result
from messaging.states import Status
from orgs import tallies
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

OWN = {"id", "contact_id", "to_recipient", "claim_id", "idempotency_key", "request_fingerprint"}
OF_THE_RUN = {"accepted_at", "sent_at", "updated_at", "created_at", "expires_at", "due_at"}
OF_ROWS = {"id", "message_id", "claim_id", "at", "recorded_at", "started_at", "finished_at"}


def claim(number, count: int = 1) -> Sequence[Claimed]:
    for _ in range(count):
        message = MessageFactory(phone_number=number)
        ConsentFactory(contact=message.contact, purpose=message.purpose)
    return claims.claim_due(100).messages


def answer(message: Claimed) -> tuple[Claimed, Result]:
    result = Result(
        str(message.pk),
        Outcome.ACCEPTED,
        provider_message_id=f"wamid.{message.pk.hex}",
        http_status=200,
        duration_ms=312,
        trace_id="trace",
    )
    return message, result


def rows(model, without: set[str], **filters: object) -> list[dict[str, object]]:
    found = model.objects.filter(**filters).order_by("pk").values()
    return [{key: value for key, value in row.items() if key not in without} for row in found]


def story(message: Claimed) -> list[object]:
    """Return all that is stored of a message but what differs between any two."""
    stored = OutboundMessage.objects.get(pk=message.pk)
    hex_id = message.pk.hex
    found = [
        *rows(OutboundMessage, OWN | OF_THE_RUN, pk=message.pk),
        *rows(OutboundAttempt, OF_ROWS, message=message.pk),
        *rows(MessageEvent, OF_ROWS, message=message.pk),
        stored.accepted_at == stored.sent_at == stored.updated_at,
        stored.claim_id,
    ]
    return [str(each).replace(hex_id, "wamid") for each in found]


def counted() -> dict[tuple[str, str], float]:
    return tallies.totals(metrics.SENT.name, counting.QUEUE_DEPTH)


def test_it_comes_to_the_same_rows_as_the_way_with_a_look(number, monkeypatch):
    (quick,) = claim(number)
    before = counted()
    dispatch.record([answer(quick)])
    once = counted()
    (looked_at,) = claim(number)
    monkeypatch.setattr(acceptance, "write", lambda _answers, _now: set())
    between = counted()
    dispatch.record([answer(looked_at)])
    assert story(quick) == story(looked_at)
    assert "'status': 'SENT'" in story(quick)[0]
    gained = {key: once[key] - before.get(key, 0) for key in once}
    assert gained == {key: value - between.get(key, 0) for key, value in counted().items()}


def taken(messages: Sequence[Claimed]) -> set[object]:
    with transaction.atomic():
        return acceptance.write([answer(message) for message in messages], timezone.now())


@pytest.mark.parametrize(
    "change",
    [
        {"sent_at": timezone.now()},  # a status was faster
        {"to_recipient": ""},  # the person was erased
        {"last_attempt_number": 2},  # a later attempt has begun
        {"attempt_count": 5},
        {"claim_id": "01900000-0000-7000-8000-000000000000"},  # rescued and claimed again
        {
            "status": Status.QUEUED,
            "claim_id": None,
            "lease_expires_at": None,
            "due_at": timezone.now() + timedelta(minutes=1),
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_its_claim_did_not_leave_so_is_looked_at(number, change):
    changed, other = claim(number, 2)
    OutboundMessage.objects.filter(pk=changed.pk).update(**change)
    before = story(changed)
    assert taken([changed, other]) == {other.pk}
    assert story(changed) == before


def test_an_attempt_written_meanwhile_undoes_all_and_is_charged_once(number):
    proved, other = claim(number, 2)
    OutboundAttempt.objects.filter(message=proved.pk).update(outcome="ACCEPTED", charged=True)
    with pytest.raises(acceptance.OvertakenError):
        taken([proved, other])
    dispatch.record([answer(proved), answer(other)])
    charged = dict(OutboundMessage.objects.values_list("pk", "attempt_count"))
    assert charged == {proved.pk: 0, other.pk: 1}
    sent = OutboundMessage.objects.filter(status=Status.SENT)
    assert {message.pk for message in sent} == {proved.pk, other.pk}


def test_answers_of_a_mixed_batch_are_all_recorded(number):
    good, bad = claim(number, 2)
    refused = Result(str(bad.pk), Outcome.REJECTED, error_code="131026")
    dispatch.record([(bad, refused), answer(good)])
    ends = dict(OutboundMessage.objects.values_list("pk", "status"))
    assert ends == {good.pk: Status.SENT, bad.pk: Status.FAILED}
