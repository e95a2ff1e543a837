"""One trace tells the life of a message, and nothing about the person."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from messaging import events, receipts, tracing
from messaging.models import OutboundMessage, WebhookDelivery
from messaging.providers.base import Outcome
from orgs import database
from orgs.ids import uuid7
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.fakes import ScriptedProvider
from tests.messaging.test_statuses import receipt

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE = "+12025550123"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    tracing.use(SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    tracing.stop()


def by_name(spans) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans()}


def accept(api) -> OutboundMessage:
    body = {
        "to": PHONE,
        "type": "template",
        "category": "utility",
        "template": {"name": "order_update", "language": "en_US"},
        "reference": "a secret of the client",
    }
    answer = api.post("/api/v1/outbound-messages", body, format="json")
    assert answer.status_code == 201
    return OutboundMessage.objects.get(pk=answer.json()["id"])


def hear(message: OutboundMessage, status: str) -> None:
    """Apply one receipt as the inbox does."""
    now = database.now()
    delivery = WebhookDelivery.objects.create(
        app=message.phone_number.account.app, received_at=now - timedelta(seconds=2), body=b"{}"
    )
    told = receipt(message, status, provider_message_id=message.provider_message_id)
    items = [events.Item(delivery, 0, told)]
    with transaction.atomic():
        rows = events.process(items, now)
        receipts._finish([receipts._Read(delivery, items)], rows, now)


def test_a_message_has_one_trace_from_the_call_to_the_receipt(
    api, org, number, spans, provider: ScriptedProvider
):
    ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
    message = accept(api)
    send_due()
    message.refresh_from_db()
    hear(message, "delivered")
    found = by_name(spans)
    assert list(found) == ["accept", "claim", "provider call", "record", "receipt"]
    assert {span.context.trace_id for span in found.values()} == {message.pk.int}
    first = found.pop("accept")
    assert first.parent is None
    assert {span.parent.span_id for span in found.values()} == {first.context.span_id}
    assert found["receipt"].attributes["outbound.status"] == "delivered"
    assert found["receipt"].end_time - found["receipt"].start_time == pytest.approx(2e9, abs=1e6)
    assert all(span.start_time <= span.end_time for span in (first, *found.values()))


def test_no_span_tells_who_got_what(api, org, number, spans, provider: ScriptedProvider):
    ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
    accept(api)
    provider.answer(
        Outcome.REJECTED, error_code="131026", error_message=f"{PHONE} cannot", http_status=400
    )
    send_due()
    call = by_name(spans)["provider call"]
    assert call.status.status_code == StatusCode.ERROR
    assert call.attributes["outbound.error_code"] == "131026"
    text = " ".join(span.to_json() for span in spans())
    for secret in (PHONE[1:], "acme", "order_update", "secret of the client"):
        assert secret not in text


def test_a_share_of_the_messages_is_traced_and_all_of_their_parts(settings, spans):
    settings.OUTBOUND_TRACING_SHARE = 0.5
    ids = [uuid7() for _ in range(200)]
    chosen = [pk for pk in ids if tracing.is_traced(pk)]
    assert 50 < len(chosen) < 150
    tracing.emit(tracing.Span(pk, "claim", 1, 2) for pk in ids)
    assert {span.context.trace_id for span in spans()} == {pk.int for pk in chosen}
    settings.OUTBOUND_TRACING_SHARE = 0.0
    assert not any(map(tracing.is_traced, ids))
    settings.OUTBOUND_TRACING_SHARE = 1.0
    assert all(map(tracing.is_traced, ids))


def test_off_it_costs_nothing_and_is_not_even_imported():
    assert tracing.now() == 0
    tracing.emit([tracing.Span(uuid.uuid4(), "claim", 1, 2)])
    code = (
        "import django, sys; django.setup(); import messaging.dispatcher, messaging.ticker; "
        "from messaging import tracing; tracing.start(); "
        "ours = ('opentelemetry.exporter', 'opentelemetry.sdk.trace.export'); "  # Redis has others
        "print(any(name.startswith(ours) for name in sys.modules), tracing.is_on())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]
