"""Two people at once, on real connections: every message is requeued once and sent once."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress

import pytest
from django.db import connection

from messaging import channels
from messaging.dead_letters import bulk, working
from messaging.models import BulkOperation, MessageEvent, OutboundAttempt, OutboundMessage
from messaging.states import Status
from tests.drive import send_due
from tests.factories.messaging import PhoneNumberFactory
from tests.fakes import ScriptedProvider
from tests.messaging.dead_letters.cast import ADA, BOB, dead, requeue_all, work
from tests.messaging.test_concurrency import at_once

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def test_two_operations_by_two_workers_send_each_message_once(monkeypatch):
    monkeypatch.setattr(working, "BATCH", 4)
    scripted = ScriptedProvider()
    monkeypatch.setattr(channels, "provider", lambda _channel: scripted)
    messages = dead(PhoneNumberFactory(), 30)
    at_once(2, lambda place: requeue_all([ADA, BOB][place]))
    assert at_once(2, lambda _place: work()) == [None, None]
    while send_due():
        pass
    assert Counter(sent.key for sent in scripted.sent).most_common(1)[0][1] == 1
    assert OutboundMessage.objects.filter(status=Status.SENT).count() == len(messages)
    assert OutboundAttempt.objects.count() == len(messages)
    assert MessageEvent.objects.filter(kind="requeued").count() == len(messages)
    counts = Counter()
    for operation in BulkOperation.objects.all():
        assert (operation.state, operation.done) == ("DONE", 30)
        counts += Counter(operation.counts)
    assert counts == {"requeued": 30, "changed": 30}


def test_stopping_waits_for_the_batch_and_lets_no_other_begin(monkeypatch):
    monkeypatch.setattr(working, "BATCH", 2)
    dead(PhoneNumberFactory(), 10)
    operation = requeue_all()
    real = working._DEEDS["requeue"]

    def stop() -> None:
        bulk.stop(BulkOperation.objects.get(), actor="user:9")
        connection.close()

    def and_stop_meanwhile(ids, instruction):
        # Another connection asks for the stop while this batch holds the operation.
        stops.append(threading.Thread(target=stop))
        stops[-1].start()
        return real(ids, instruction)

    stops: list[threading.Thread] = []
    monkeypatch.setitem(working._DEEDS, "requeue", and_stop_meanwhile)
    working.proceed()
    for thread in stops:
        thread.join(30)
    work()
    operation.refresh_from_db()
    assert (operation.state, operation.counts) == ("STOPPED", {"requeued": 2})
    assert OutboundMessage.objects.dead().count() == 8


def test_two_at_once_do_not_begin_more_than_may_run(monkeypatch):
    monkeypatch.setattr(bulk, "MOST_RUNNING", 1)
    dead(PhoneNumberFactory(), 2)
    counting = threading.Barrier(2, timeout=2)
    real = bulk.targets

    def slowly(operation: BulkOperation):
        # Whoever has counted what runs waits for the other to have counted too.
        with suppress(threading.BrokenBarrierError):
            counting.wait()
        return real(operation)

    monkeypatch.setattr(bulk, "targets", slowly)

    def begin(place: int) -> bool:
        try:
            requeue_all([ADA, BOB][place])
        except bulk.TooManyError:
            return False
        return True

    assert sorted(at_once(2, begin)) == [False, True]
    assert BulkOperation.objects.count() == 1
