"""What cannot be sent fails alone, with a clear code, through the real provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from messaging.models import OutboundMessage, ServiceWindow
from messaging.states import Status
from ratelimit.models import Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.messaging.providers.servers import answer, read_request, serving

pytestmark = [pytest.mark.django_db, pytest.mark.core]

ACCEPTED = b'{"messages":[{"id":"wamid.%d"}]}'
UNREADABLE = {
    "HTML": (b"502 Bad Gateway", b"<html><body>Bad gateway, call +12025550123</body></html>"),
    "empty": (b"500 Internal Server Error", b""),
    "cut off": (b"200 OK", b'{"messages":[{"id":"wam'),
    "huge": (b"503 Service Unavailable", b"x" * 10_000_000),
}


@pytest.fixture
def graph(settings) -> Iterator[list[bytes]]:
    """Meta, accepting everything; yields the requests."""
    asked: list[bytes] = []

    def script(client):
        while request := read_request(client):
            asked.append(request)
            answer(client, ACCEPTED % len(asked))

    settings.OUTBOUND_SEND_CONCURRENCY = 8
    with serving(script) as base:
        settings.WHATSAPP_CLOUD_API_BASE_URL = base
        yield asked


def consented(**fields: object) -> OutboundMessage:
    message = MessageFactory(**fields)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    return message


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "hologram"}, "PAYLOAD"),
        ({"to_recipient": ""}, "PAYLOAD"),
        ({"channel": "SMS"}, "CHANNEL"),
    ],
)
def test_what_no_provider_can_build_fails_alone(graph, number, fields, code):
    bad = MessageFactory(phone_number=number, **fields)
    ConsentFactory(contact=bad.contact, purpose=bad.purpose, channel=bad.channel)
    ServiceWindow.objects.create(
        org=bad.org, phone_number=number, contact=bad.contact, last_inbound_at=timezone.now()
    )
    good = consented(phone_number=number)
    send_due()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.error_code) == (Status.FAILED, code)
    assert good.status == Status.SENT
    assert len(graph) == 1


def test_a_number_whose_token_cannot_be_read_is_held_and_the_others_send(graph):
    broken, sound = consented(), consented()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_businessaccount SET access_token = 'rubbish' WHERE id = %s",
            [broken.phone_number.account_id],
        )
    send_due()
    send_due()
    broken.refresh_from_db()
    sound.refresh_from_db()
    assert (broken.status, sound.status) == (Status.QUEUED, Status.SENT)
    hold = Hold.objects.get()
    assert (hold.key, hold.code) == (broken.phone_number.phone_number_id, "UNREADABLE")


@pytest.mark.parametrize("case", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_is_no_answer_is_bounded_redacted_and_unknown(settings, case):
    status, body = case

    def script(client):
        while read_request(client):
            answer(client, body, status=status)

    message = consented(phone_number=PhoneNumberFactory())
    with serving(script) as base:
        settings.WHATSAPP_CLOUD_API_BASE_URL = base
        send_due()
    attempt = message.attempts.get()
    message.refresh_from_db()
    assert (message.status, attempt.outcome) == (Status.SENDING, "UNKNOWN")
    assert len(attempt.excerpt) <= 2048
    assert "2025550123" not in attempt.excerpt
