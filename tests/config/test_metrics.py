"""The metrics page: who sees it, and what it shows."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

import pytest
from django.db import OperationalError
from prometheus_client.parser import text_string_to_metric_families

from config import metrics as page
from messaging import metrics, stock
from messaging.models import Heartbeat, WebhookDelivery
from messaging.states import Status
from orgs import database, measures, tallies
from ratelimit.models import Hold
from tests.factories.messaging import MessageFactory, MetaAppFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture(autouse=True)
def _open(settings):
    settings.OUTBOUND_METRICS_TOKEN = ""
    settings.OUTBOUND_METRICS_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    page.PAGE.forget()
    measures.publish()  # what earlier tests have measured


def scrape(client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@pytest.mark.parametrize(
    ("token", "networks", "given", "status"),
    [
        ("secret", [], "Bearer secret", 200),
        ("secret", [], "Bearer other", 401),
        ("secret", [], "", 401),
        ("", ["127.0.0.0/8"], "", 200),
        ("", ["10.0.0.0/8", "fd00::/8"], "", 401),
        ("secret", ["10.0.0.0/8"], "Bearer secret", 200),
        ("secret", ["127.0.0.1/32"], "", 200),
    ],
)
def test_the_page_asks_for_a_token_or_a_network(client, settings, token, networks, given, status):
    settings.OUTBOUND_METRICS_TOKEN = token
    settings.OUTBOUND_METRICS_NETWORKS = [ipaddress.ip_network(each) for each in networks]
    headers = {"Authorization": given} if given else {}
    assert client.get("/metrics", headers=headers).status_code == status


def test_a_header_does_not_make_an_address(client, settings):
    settings.OUTBOUND_METRICS_NETWORKS = [ipaddress.ip_network("10.0.0.0/8")]
    assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 401


def test_without_token_and_network_only_the_embedded_profile_shows_it(client, settings):
    settings.OUTBOUND_METRICS_NETWORKS = []
    for embedded, status in ((True, 200), (False, 404)):
        settings.OUTBOUND_EMBEDDED = embedded
        assert client.get("/metrics").status_code == status


def test_tallies_of_all_processes_are_summed(client):
    metrics.SENT.add("WHATSAPP", by=3)
    other = metrics.SENT.line("WHATSAPP")
    tallies.write({(other.name, other.labels): 4}, common=True)
    assert value(scrape(client), "outbound_message_sent_total", channel="WHATSAPP") == 7


def test_series_begin_at_zero(client):
    samples = scrape(client)
    for name in ("queued", "sent", "retry"):
        assert value(samples, f"outbound_message_{name}_total", channel="WHATSAPP") == 0
    known = {"channel": "WHATSAPP", "error_code": "131026"}
    assert value(samples, "outbound_message_failed_total", **known) == 0
    assert value(samples, "outbound_webhook_events_total", result="POISON") is not None
    assert value(samples, "outbound_circuits_open", cause="credentials") == 0
    assert value(samples, "outbound_heartbeat_age_seconds", kind="beat") == float("inf")


def test_what_this_process_measured_is_there_at_once(client):
    labels = {"channel": "WHATSAPP", "outcome": "ACCEPTED"}
    before = value(scrape(client), "outbound_provider_call_seconds_count", **labels) or 0
    metrics.call_seconds("WHATSAPP", "ACCEPTED").observe(0.25)
    samples = scrape(client)
    assert value(samples, "outbound_provider_call_seconds_count", **labels) == before + 1
    buckets = [
        labels_value
        for (name, labels_of), labels_value in samples.items()
        if name == "outbound_provider_call_seconds_bucket" and ("outcome", "ACCEPTED") in labels_of
    ]
    assert buckets == sorted(buckets)
    requests = "django_http_requests_before_middlewares_total"
    assert value(scrape(client), requests) == value(samples, requests) + 1


def test_gauges_tell_how_things_stand(client, number):
    now = database.now()
    MessageFactory(phone_number=number, due_at=now - timedelta(minutes=5))
    MessageFactory(phone_number=number, status=Status.SENDING)
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131049")
    stock.recount()
    WebhookDelivery.objects.create(
        app=MetaAppFactory(), received_at=now - timedelta(seconds=30), body=b"{}"
    )
    Hold.objects.create(scope="number", key="1", cause="credentials", opened_at=now)
    Hold.objects.create(scope="number", key="1", cause="paused_by_staff", opened_at=now)
    Heartbeat.objects.create(
        kind="worker", name="a:1", started_at=now, seen_at=now - timedelta(seconds=40)
    )
    samples = scrape(client)
    assert value(samples, "outbound_message_queue_depth") == 2
    assert value(samples, "outbound_message_dlq_size") == 1
    assert 300 <= value(samples, "outbound_message_oldest_due_age_seconds") < 400
    assert value(samples, "outbound_webhook_pending") == 1
    assert 30 <= value(samples, "outbound_webhook_oldest_pending_age_seconds") < 130
    assert value(samples, "outbound_circuits_open", cause="credentials") == 1
    assert value(samples, "outbound_holds", cause="paused_by_staff") == 1
    assert 40 <= value(samples, "outbound_heartbeat_age_seconds", kind="worker") < 140
    assert value(samples, "outbound_processes", kind="worker") == 1
    assert value(samples, "outbound_database_up") == 1


def test_gauges_are_kept_for_a_moment(client):
    scrape(client)
    MessageFactory()
    stock.recount()
    assert value(scrape(client), "outbound_message_queue_depth") == 0
    page.PAGE.forget()
    assert value(scrape(client), "outbound_message_queue_depth") == 1


def test_without_the_database_the_process_still_answers(client, monkeypatch):
    def away(*_names):
        raise OperationalError

    monkeypatch.setattr(tallies, "totals", away)
    monkeypatch.setattr(page.connection, "close", lambda: None)  # the test's own transaction
    samples = scrape(client)
    assert value(samples, "outbound_database_up") == 0
    assert value(samples, "outbound_message_queue_depth") is None
    assert value(samples, "process_cpu_seconds_total") > 0


def test_no_label_names_an_organisation_or_a_person(client, org):
    MessageFactory(phone_number__org=org, to_recipient="+12025550123")
    stock.recount()
    allowed = {
        *("channel", "error_code", "outcome", "result", "cause", "kind", "rank", "limit", "store"),
        *("le", "word", "status", "severity"),
    }
    for name, labels in scrape(client):
        if name.startswith("outbound_"):
            assert {label for label, _ in labels} <= allowed
            assert not [text for _, text in labels if "acme" in text or "+1" in text]
