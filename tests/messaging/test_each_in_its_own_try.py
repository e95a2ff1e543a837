"""One event that breaks whatever touches it: it is marked, and the others go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.utils import timezone

from messaging import metrics, receipts
from messaging.models import WebhookDelivery, WebhookEvent
from messaging.states import Status
from tests.messaging.test_webhooks import payload, post, results, sent, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

Result = WebhookEvent.Result


class UnheardOfError(Exception):
    """Of no kind anybody has thought of."""


@pytest.fixture
def break_on(monkeypatch) -> Callable[..., None]:
    """Have the processing of events with this wamid raise."""

    def breaks(wamid: str, error: Exception) -> None:
        real = receipts.events.process

        def process(items, now):
            if any(item.event.provider_message_id == wamid for item in items):
                raise error
            return real(items, now)

        monkeypatch.setattr(receipts.events, "process", process)

    return breaks


def wait_unmatched(client, number, *wamids: str) -> None:
    post(client, payload(number, statuses=[status("delivered", id=wamid) for wamid in wamids]))
    receipts.apply_pending()
    assert set(results()) == {Result.UNMATCHED}
    WebhookEvent.objects.update(look_again_at=timezone.now())


def counted(result: str) -> float:
    return metrics.webhook_events(result)._value.get()


def test_an_event_that_breaks_in_an_unheard_of_way_is_marked_alone(client, number, break_on):
    message = sent(number)
    statuses = [status("delivered", id="wamid.bad"), status("delivered")]
    post(client, payload(number, statuses=statuses))
    break_on("wamid.bad", UnheardOfError())
    assert receipts.apply_pending() == 1
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert results() == [Result.POISON, Result.APPLIED]
    assert WebhookEvent.objects.get(result=Result.POISON).error == "UnheardOfError"


def test_a_body_that_breaks_its_reading_is_marked_alone(client, number, monkeypatch):
    message = sent(number)
    post(client, payload(number, statuses=[status("delivered", id="wamid.bad")]))
    post(client, payload(number, statuses=[status("delivered")]))
    real = receipts.webhook.parse

    def parse(body, table):
        if b"wamid.bad" in body:
            raise UnheardOfError
        return real(body, table)

    monkeypatch.setattr(receipts.webhook, "parse", parse)
    assert receipts.apply_pending() == 2
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert [each.status for each in WebhookDelivery.objects.order_by("pk")] == ["ERROR", "DONE"]


def test_an_unmatched_event_that_breaks_stops_no_other(client, number, break_on):
    wait_unmatched(client, number, "wamid.bad", "wamid.1")
    message = sent(number)
    break_on("wamid.bad", UnheardOfError())
    assert receipts.rematch() == 1
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert results() == [Result.POISON, Result.APPLIED]
    bad = WebhookEvent.objects.get(result=Result.POISON)
    assert (bad.error, bad.look_again_at) == ("UnheardOfError", None)
    assert receipts.rematch() == 0


def test_while_the_database_is_away_nothing_is_marked(client, number, break_on):
    wait_unmatched(client, number, "wamid.bad")
    post(client, payload(number, statuses=[status("delivered", id="wamid.bad")]))
    break_on("wamid.bad", OperationalError())
    for deed in (receipts.rematch, receipts.apply_pending):
        with pytest.raises(OperationalError):
            deed()
    assert results() == [Result.UNMATCHED]


def test_an_event_whose_delivery_was_emptied_is_given_up(client, number):
    wait_unmatched(client, number, "wamid.1")
    WebhookDelivery.objects.update(body=b"")
    assert receipts.rematch() == 0
    assert results() == [Result.GIVEN_UP]


def test_what_comes_of_looking_again_is_counted(client, number):
    wait_unmatched(client, number, "wamid.1", "wamid.2")
    sent(number)
    before = {result: counted(result) for result in (Result.APPLIED, Result.UNMATCHED)}
    receipts.rematch()
    assert counted(Result.APPLIED) == before[Result.APPLIED] + 1
    assert counted(Result.UNMATCHED) == before[Result.UNMATCHED]
