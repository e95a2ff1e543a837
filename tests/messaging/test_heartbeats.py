"""Workers and beat say themselves that they are at work."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from messaging import beat, heartbeats
from messaging.dispatcher import Dispatcher
from messaging.heartbeats import Kind
from messaging.models import Heartbeat
from orgs import database

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture(autouse=True)
def _new_process():
    heartbeats.forget()
    yield
    heartbeats.forget()


def row(kind: Kind, name: str, age: timedelta) -> Heartbeat:
    at = database.now() - age
    return Heartbeat.objects.create(kind=kind, name=name, started_at=at, seen_at=at)


def test_a_process_has_one_row_and_writes_it_once_in_a_while(monkeypatch):
    heartbeats.note(Kind.WORKER)
    with CaptureQueriesContext(connection) as captured:
        heartbeats.note(Kind.WORKER)
    assert len(captured) == 0
    first = Heartbeat.objects.get(kind=Kind.WORKER)
    monkeypatch.setattr(heartbeats, "EVERY_SECONDS", 0.0)
    heartbeats._own[Kind.WORKER].again_at = 0.0
    with CaptureQueriesContext(connection) as captured:
        heartbeats.note(Kind.WORKER)
    assert len(captured) == 1
    again = Heartbeat.objects.get(kind=Kind.WORKER)
    assert (again.pk, again.started_at) == (first.pk, first.started_at)
    assert again.seen_at > first.seen_at


def test_a_row_that_somebody_removed_is_written_again(monkeypatch):
    monkeypatch.setattr(heartbeats, "EVERY_SECONDS", 0.0)
    heartbeats.note(Kind.WORKER)
    Heartbeat.objects.all().delete()
    heartbeats.note(Kind.WORKER)
    assert heartbeats.last_seen(Kind.WORKER)


def test_beat_looks_for_edits_once_in_a_while(monkeypatch):
    looks: list[int] = []
    monkeypatch.setattr(DatabaseScheduler, "schedule_changed", lambda _self: bool(looks.append(1)))
    scheduler = beat.Scheduler(app=app, lazy=True, max_interval=5)
    for _turn in range(3):
        scheduler.schedule_changed()
    assert len(looks) == 1
    monkeypatch.setattr(scheduler, "max_interval", 0)
    scheduler._look_at = 0.0
    for _turn in range(3):
        scheduler.schedule_changed()
    assert len(looks) == 4


def test_a_new_process_removes_old_rows_of_its_kind_only():
    row(Kind.WORKER, "gone:1", timedelta(days=2))
    row(Kind.WORKER, "other:1", timedelta(hours=2))
    row(Kind.BEAT, "gone:2", timedelta(days=2))
    heartbeats.note(Kind.WORKER)
    names = set(Heartbeat.objects.values_list("name", flat=True))
    assert "gone:1" not in names
    assert {"other:1", "gone:2"} < names


def test_the_freshest_of_a_kind_counts():
    row(Kind.WORKER, "a:1", timedelta(minutes=9))
    row(Kind.WORKER, "b:1", timedelta(seconds=20))
    row(Kind.WORKER, "c:1", timedelta(seconds=30))
    now = database.now()
    found = heartbeats.pulses(now)
    assert found[Kind.WORKER].alive == 2
    assert not found[Kind.WORKER].is_missing
    assert timedelta(seconds=19) < heartbeats.ages(now)[Kind.WORKER] < timedelta(seconds=30)
    assert heartbeats.last_seen(Kind.WORKER) == Heartbeat.objects.get(name="b:1").seen_at


def test_a_kind_that_was_never_seen_is_missing():
    found = heartbeats.pulses(database.now())[Kind.BEAT]
    assert found.age is None
    assert found.is_missing
    assert heartbeats.last_seen(Kind.BEAT) is None


def test_a_database_that_is_away_disturbs_nobody(monkeypatch):
    def away(*_args, **_extra):
        raise DatabaseError

    monkeypatch.setattr(database, "upsert_rows", away)
    monkeypatch.setattr(connection, "close", lambda: None)  # the test's own transaction
    heartbeats.note(Kind.WORKER)
    assert not Heartbeat.objects.exists()


def test_beat_notes_the_turns_of_its_own_loop(monkeypatch):
    monkeypatch.setattr(DatabaseScheduler, "tick", lambda _self: 5.0)  # closes connections
    assert beat.Scheduler(app=app, lazy=True).tick() == 5.0
    assert heartbeats.last_seen(Kind.BEAT) is not None


def test_a_worker_notes_the_turns_of_its_dispatcher(monkeypatch):
    dispatcher = Dispatcher()
    monkeypatch.setattr(dispatcher, "turn", dispatcher.stop)
    dispatcher.run()
    assert heartbeats.last_seen(Kind.WORKER) is not None
