"""Acting on everything that matches a filter: what is done, what is left, and undoing it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent import ledger
from consent.models import Source
from messaging import chores, operations, retention
from messaging.dead_letters import bulk, prospects, working
from messaging.dead_letters.selection import Selection
from messaging.models import BulkOperation, Discard, MessageEvent, OutboundMessage
from messaging.persons import erasing
from messaging.states import Status
from orgs import database
from orgs.models import AuditEvent
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.messaging.dead_letters.cast import (
    ADA,
    BOB,
    dead,
    discard_all,
    requeue_all,
    statuses,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.core]

State = BulkOperation.State


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(working, "BATCH", 3)


def test_everything_that_matches_is_requeued_in_batches_by_the_workers(number, small_batches):
    dead(number, 10)
    others = dead(number, 2, error_code="131026")
    operation = requeue_all(error="131016")
    assert operation.matched == 10
    chores.do_some()
    assert statuses() == {"QUEUED": 3, "FAILED": 9}
    while chores.do_some():
        pass
    operation.refresh_from_db()
    assert (operation.state, operation.counts) == (State.DONE, {"requeued": 10})
    assert (operation.done, operation.finished_at is not None) == (10, True)
    assert {row.pk for row in OutboundMessage.objects.dead()} == {row.pk for row in others}


def test_the_operation_and_each_message_leave_their_traces(number):
    (message,) = dead(number)
    operation = requeue_all()
    work()
    rows = AuditEvent.objects.order_by("pk").values_list("action", "actor", "reason")
    assert list(rows) == [
        ("dead_letters.requeue_started", "user:1", "Meta has mended it"),
        ("message.requeued", "user:1", "Meta has mended it"),
        ("dead_letters.requeue_finished", "user:1", "Meta has mended it"),
    ]
    assert AuditEvent.objects.get(action="message.requeued").after == {
        "status": "QUEUED",
        "operation": str(operation.pk),
    }
    line = MessageEvent.objects.get(message=message)
    assert (line.kind, line.actor, line.cause) == ("requeued", "user:1", "staff")


def test_two_operations_over_the_same_messages_requeue_each_once(number, small_batches):
    dead(number, 7)
    first, second = requeue_all(), requeue_all(BOB)
    work()
    first.refresh_from_db()
    second.refresh_from_db()
    assert MessageEvent.objects.filter(kind="requeued").count() == 7
    assert first.counts.get("requeued", 0) + second.counts.get("requeued", 0) == 7
    assert (first.done, second.done) == (7, 7)


def test_what_fails_again_is_not_taken_again(number, provider):
    (message,) = dead(number)
    requeue_all()
    working.proceed()
    OutboundMessage.objects.filter(pk=message.pk).update(
        status=Status.FAILED, due_at=None, failed_at=timezone.now() - timedelta(minutes=5)
    )
    work()
    assert statuses() == {"FAILED": 1}


def test_what_failed_after_it_began_is_left_alone(number):
    dead(number)
    operation = requeue_all()
    dead(number, failed_at=operation.created_at + timedelta(seconds=1))
    work()
    assert statuses() == {"QUEUED": 1, "FAILED": 1}


def test_who_lost_consent_between_preview_and_run_gets_nothing(number):
    messages = dead(number, 3)
    now = timezone.now()
    assert prospects.preview(Selection().messages(), now).counts == {"send": 3}
    operation = requeue_all()
    ledger.revoke(
        number.org,
        [
            ledger.Entry(
                messages[0].contact_id, "WHATSAPP", "transactional", Source.PERSON, "system", now
            )
        ],
    )
    work()
    operation.refresh_from_db()
    assert operation.counts == {"no_consent": 3}
    assert statuses() == {"FAILED": 3}


def test_a_stopped_operation_does_no_more_until_it_is_resumed(number, small_batches):
    dead(number, 7)
    operation = requeue_all()
    working.proceed()
    assert bulk.stop(operation, actor="user:9", reason="wrong template")
    assert not bulk.stop(operation, actor="user:9")
    work()
    assert statuses() == {"QUEUED": 3, "FAILED": 4}
    assert bulk.resume(operation, actor="user:9")
    work()
    operation.refresh_from_db()
    assert (operation.state, operation.counts) == (State.DONE, {"requeued": 7})
    assert set(AuditEvent.objects.filter(actor="user:9").values_list("action", flat=True)) == {
        "dead_letters.requeue_stopped",
        "dead_letters.requeue_resumed",
    }


def test_a_batch_that_fails_is_tried_again_and_then_stops_the_operation(number, monkeypatch):
    dead(number)
    operation = requeue_all()

    def broken(*_args):
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setitem(working._DEEDS, "requeue", broken)
        for _ in range(working.MOST_FAILURES):
            assert working.proceed() == 0
    operation.refresh_from_db()
    assert (operation.state, statuses()) == (State.FAILED, {"FAILED": 1})
    assert AuditEvent.objects.filter(action="dead_letters.requeue_failed").exists()
    bulk.resume(operation, actor="user:9")
    work()
    assert statuses() == {"QUEUED": 1}


def test_a_worker_that_dies_within_a_batch_leaves_nothing_half_done(number, monkeypatch):
    dead(number, 3)
    operation = requeue_all()
    real = working._DEEDS["requeue"]

    def dying(ids, instruction):
        real(ids, instruction)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setitem(working._DEEDS, "requeue", dying)
        with pytest.raises(SystemExit):
            working.proceed()
    operation.refresh_from_db()
    assert (statuses(), operation.counts, operation.cursor) == ({"FAILED": 3}, {}, None)
    work()
    operation.refresh_from_db()
    assert (operation.state, operation.counts) == (State.DONE, {"requeued": 3})
    assert MessageEvent.objects.filter(kind="requeued").count() == 3


def test_only_so_many_run_at_once(number, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_RUNNING", 1)
    requeue_all()
    with pytest.raises(bulk.TooManyError):
        requeue_all()
    other = PhoneNumberFactory()
    requeue_all(org=other.org.org_id)


class TestRate:
    @pytest.fixture
    def clock(self, monkeypatch):
        """Let the test say what time it is."""
        moment = [timezone.now()]
        monkeypatch.setattr(database, "now", lambda: moment[0])

        def advance(seconds: float) -> None:
            moment[0] += timedelta(seconds=seconds)

        return advance

    @pytest.mark.parametrize("rate", [7, 60, 120])
    def test_it_is_kept_minute_by_minute(self, number, clock, rate):
        dead(number, 3 * rate)
        requeue_all(rate=rate)
        released = [statuses().get("QUEUED", 0)]
        for _ in range(24):  # two minutes, as often as a worker looks
            work()
            released.append(statuses().get("QUEUED", 0))
            clock(5)
        burst = rate * 10 // 60 + 1
        for start in range(len(released) - 12):
            assert released[start + 12] - released[start] <= rate + burst
        assert rate * 2 - burst <= released[-1] <= rate * 2 + 1

    def test_a_pause_of_the_workers_is_not_made_up_for(self, number, clock):
        dead(number, 100)
        requeue_all(rate=60)
        work()
        assert statuses()["QUEUED"] == 1
        clock(3600)
        work()
        assert statuses()["QUEUED"] <= 1 + 11

    def test_those_left_alone_take_nothing_of_it(self, number, clock):
        dead(number, 50, expires_at=timezone.now() - timedelta(days=1))
        dead(number, 5)
        operation = requeue_all(rate=60)
        work()
        operation.refresh_from_db()
        assert operation.counts == {"expired": 50, "requeued": 1}


class TestDiscard:
    def test_it_cancels_and_can_be_undone_as_a_whole(self, number, small_batches):
        messages = dead(number, 5)
        before = {row.pk: row.failed_at for row in messages}
        operation = discard_all()
        work()
        operation.refresh_from_db()
        assert (operation.counts, statuses()) == ({"discarded": 5}, {"CANCELLED": 5})
        assert set(OutboundMessage.objects.values_list("error_code", flat=True)) == {"DISCARDED"}

        assert bulk.can_be_undone(operation)
        undo = bulk.undo(operation, ADA)
        work()
        undo.refresh_from_db()
        assert (undo.counts, statuses()) == ({"restored": 5}, {"FAILED": 5})
        for row in OutboundMessage.objects.all():
            assert (row.error_code, row.error_message) == ("131016", "Service overloaded.")
            assert row.failed_at == before[row.pk]
        assert not bulk.can_be_undone(operation)
        actions = AuditEvent.objects.values_list("action", flat=True)
        assert {"dead_letters.discard_finished", "dead_letters.restore_finished"} <= set(actions)
        assert AuditEvent.objects.filter(action="message.discard_undone").count() == 5

    def test_an_undo_takes_back_nothing_that_others_discarded(self, number):
        mine, theirs = dead(number, 2)
        operations.discard([theirs.pk], ADA)
        operation = discard_all()
        work()
        bulk.undo(operation, ADA)
        work()
        assert OutboundMessage.objects.get(status=Status.FAILED).pk == mine.pk

    def test_after_a_day_it_stays(self, number):
        (message,) = dead(number)
        operation = discard_all()
        work()
        Discard.objects.update(discarded_at=timezone.now() - timedelta(days=1, seconds=1))
        assert not bulk.can_be_undone(operation)
        assert operations.restore([message.pk], ADA) == []
        assert retention.purge_discards() == 1
        assert not Discard.objects.exists()

    def test_one_message_goes_and_comes_back(self, number):
        (message,) = dead(number)
        assert operations.discard([message.pk], BOB) == [message.pk]
        assert operations.discard([message.pk], BOB) == []
        assert operations.restore([message.pk], ADA) == [message.pk]
        assert operations.restore([message.pk], ADA) == []
        assert operations.discard([message.pk], BOB) == [message.pk]
        assert list(
            MessageEvent.objects.order_by("id").values_list("from_status", "to_status", "kind")
        ) == [
            ("FAILED", "CANCELLED", "discarded"),
            ("CANCELLED", "FAILED", "restored"),
            ("FAILED", "CANCELLED", "discarded"),
        ]

    def test_what_was_cancelled_otherwise_cannot_be_restored(self, number):
        message = MessageFactory(phone_number=number)
        operations.cancel([message.pk], ADA)
        assert operations.restore([message.pk], ADA) == []

    def test_of_an_erased_person_nothing_comes_back(self, number):
        (message,) = dead(number)
        operations.discard([message.pk], BOB)
        erasing.request(message.contact, actor="user:1", reason="asked")
        erasing.proceed()
        assert not Discard.objects.exists()
        assert operations.restore([message.pk], ADA) == []


def test_ended_operations_go_with_the_messages_of_their_time(number, settings):
    operation = requeue_all()
    assert retention.purge_operations() == 0
    work()
    long_ago = timezone.now() - timedelta(days=400)
    BulkOperation.objects.update(updated_at=long_ago)
    assert retention.purge_operations() == 0  # its id says it is new
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "now", lambda: timezone.now() + timedelta(days=400))
        assert retention.purge_operations() == 1
    assert not BulkOperation.objects.filter(pk=operation.pk).exists()
