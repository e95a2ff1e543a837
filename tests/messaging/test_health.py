"""What an organisation is told of the health of its messages, and what a probe is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from messaging import health, tasks
from messaging.models import HealthReport, Heartbeat
from messaging.states import Status
from orgs import database
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/outbound-health"


def message(number, status: str, **fields: object):
    return MessageFactory(phone_number=number, status=status, **fields)


def fill(number) -> None:
    now = database.now()
    sent = now - timedelta(minutes=5)
    message(number, Status.QUEUED)
    message(number, Status.QUEUED)
    message(number, Status.SENDING)
    message(number, Status.SENT, sent_at=sent)
    for seconds in (10, 20):
        delivered = sent + timedelta(seconds=seconds)
        message(number, Status.DELIVERED, sent_at=sent, delivered_at=delivered)
    message(number, Status.FAILED, error_code="131026")
    message(number, Status.FAILED, error_code="131049")  # an outcome of campaigns
    message(number, Status.CANCELLED)
    message(number, Status.FAILED, error_code="131026", at=now - timedelta(days=3))


def test_the_figures_are_those_of_the_organisation(api, org, number, other_org):
    fill(number)
    message(PhoneNumberFactory(org=other_org), Status.QUEUED)
    answer = api.get(URL)
    assert answer.status_code == 200
    figures = answer.json()
    assert figures.pop("timestamp") > figures.pop("since")
    assert figures == {
        "queuedMessages": 2,
        "sendingMessages": 1,
        "totalPendingMessages": 3,
        "deadLetterQueueSize": 2,
        "channelMetrics": {
            "WHATSAPP": {
                "totalMessages": 9,
                "sentMessages": 3,
                "deliveredMessages": 2,
                "failedMessages": 1,
                "successRate": 0.75,
                "failureRate": 0.25,
                "averageDeliveryLatencySeconds": 15.0,
            }
        },
    }


def test_without_messages_there_are_no_rates(api, org):
    metrics = api.get(URL).json()["channelMetrics"]["WHATSAPP"]
    assert (metrics["totalMessages"], metrics["failureRate"]) == (0, None)


def test_the_figures_are_kept_for_half_a_minute(api, org, number):
    first = api.get(URL).json()
    message(number, Status.QUEUED)
    assert api.get(URL).json() == first
    HealthReport.objects.update(made_at=database.now() - timedelta(seconds=31))
    assert api.get(URL).json()["queuedMessages"] == 1


def test_beat_refreshes_the_figures_of_who_has_asked(api, org, number, other_org):
    api.get(URL)
    message(number, Status.QUEUED)
    health.of(other_org)
    HealthReport.objects.filter(org=other_org).update(
        asked_at=database.now() - timedelta(minutes=11)
    )
    before = HealthReport.objects.get(org=other_org).made_at
    tasks.refresh_health()
    assert api.get(URL).json()["queuedMessages"] == 1
    assert HealthReport.objects.get(org=other_org).made_at == before


def test_readiness_tells_of_beat_and_workers_without_requiring_them(client):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["beat"] == answer.json()["checks"]["worker"] == "missing"
    now = database.now()
    Heartbeat.objects.create(kind="beat", name="a:1", started_at=now, seen_at=now)
    assert client.get("/readyz").json()["checks"]["beat"] == "ok"
