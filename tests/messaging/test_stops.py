"""What Meta has stopped goes on when Meta says so, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import connect, stops
from messaging.models import PhoneNumber
from messaging.providers.base import ErrorRule, Outcome, Scope
from orgs.models import AuditEvent
from ratelimit.models import Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory
from tests.fakes import ScriptedProvider, accepted
from tests.messaging.providers.servers import answer, read_request, serving

pytestmark = [pytest.mark.django_db, pytest.mark.core]

AVAILABLE = {"health_status": {"can_send_message": "AVAILABLE", "entities": []}}
BLOCKED = {
    "health_status": {
        "can_send_message": "BLOCKED",
        "entities": [
            {
                "entity_type": "WABA",
                "can_send_message": "BLOCKED",
                "errors": [{"error_code": 141002, "error_description": "No payment method."}],
            }
        ],
    }
}
REFUSED = {"error": {"code": 190, "message": "expired"}}

Graph = Callable[[object], AbstractContextManager[list[bytes]]]


@pytest.fixture
def graph(settings) -> Graph:
    """Serve one JSON answer as Meta would; yields what was asked."""

    @contextmanager
    def serve(content: object) -> Iterator[list[bytes]]:
        asked: list[bytes] = []

        def script(client):
            asked.append(read_request(client))
            status = b"400 Bad Request" if content is REFUSED else b"200 OK"
            answer(client, json.dumps(content).encode(), status=status)

        with serving(script) as base:
            settings.WHATSAPP_CLOUD_API_BASE_URL = base
            yield asked

    return serve


@pytest.fixture
def stopped(provider: ScriptedProvider, number: PhoneNumber) -> Hold:
    """An account stopped by a refused token, with a message waiting; its probe is due."""
    rule = ErrorRule("190", Outcome.THROTTLED, Scope.ACCOUNT, "t", "a", stop="credentials")
    provider.answer(Outcome.THROTTLED, error_code="190", rule=rule)
    message = MessageFactory(phone_number=number)
    ConsentFactory(contact=message.contact)
    send_due()
    provider.script = accepted
    Hold.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    return Hold.objects.get()


def test_a_stop_lasts_until_somebody_ends_it(stopped, settings):
    assert (stopped.cause, stopped.until) == ("credentials", None)
    assert send_due() == 0


def test_meta_saying_available_lifts_the_stop_and_the_queue_goes(graph, stopped, number):
    with graph(AVAILABLE) as asked:
        assert stops.probe_due() == 1
    assert f"/{number.phone_number_id}?fields=health_status".encode() in asked[0]
    assert not Hold.objects.exists()
    kept = PhoneNumber.objects.get()
    assert kept.health_said == "It may send."
    assert timezone.now() - kept.health_said_at < timedelta(minutes=1)
    assert AuditEvent.objects.get(action="hold.lifted").actor == "system:health_status"
    assert send_due() == 1


@pytest.mark.parametrize(
    ("content", "told"), [(BLOCKED, "No payment method."), (REFUSED, "190"), ([], "status")]
)
def test_any_other_answer_keeps_it_and_says_why(graph, stopped, content, told):
    with graph(content):
        stops.probe_due()
    hold = Hold.objects.get()
    assert told in hold.detail
    assert told in PhoneNumber.objects.get().health_said
    assert hold.probes == 1
    assert hold.probe_at > timezone.now() + timedelta(minutes=10)
    assert send_due() == 0


def test_it_is_asked_for_only_when_its_time_has_come(stopped, graph):
    Hold.objects.update(probe_at=timezone.now() + timedelta(minutes=1))
    with graph(AVAILABLE) as asked:
        assert stops.probe_due() == 0
    assert asked == []


def test_meta_out_of_reach_keeps_the_stop(stopped, settings):
    settings.WHATSAPP_CLOUD_API_BASE_URL = "http://127.0.0.1:1"
    assert stops.probe_due() == 1
    assert "could not be asked" in Hold.objects.get().detail


def test_a_throttle_is_not_asked_for():
    now = timezone.now()
    Hold.objects.create(scope="number", key="1", cause="throttle", opened_at=now, probe_at=now)
    assert stops.probe_due() == 0


def test_a_new_token_has_meta_asked_at_once(stopped, number):
    Hold.objects.update(probe_at=timezone.now() + timedelta(minutes=14))
    account = number.account
    wanted = connect.Connection(
        account.app.app_id, account.waba_id, number.phone_number_id, "new", "secret", "verify"
    )
    connect.connect(number.org, wanted, actor="user:1", verify=False)
    assert Hold.objects.get().probe_at <= timezone.now()
