"""The thread every worker carries: it sends notices and misses beat, without broker and beat."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from alerts import delivery, ticker
from alerts.models import Alert, Notice
from alerts.ticker import Watch
from messaging import wake
from messaging.models import Heartbeat

pytestmark = [pytest.mark.django_db, pytest.mark.core]


class Connection:
    """The test's own connection must stay open."""

    def close(self) -> None:
        return


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(ticker, "connection", Connection())
    return Watch()


def seen(kind: str, minutes: int) -> None:
    at = timezone.now() - timedelta(minutes=minutes)
    Heartbeat.objects.create(kind=kind, name=kind, started_at=at, seen_at=at)


def test_a_beat_that_is_gone_is_told_by_a_worker(watch, mailoutbox, monkeypatch):
    seen("worker", 0)
    seen("beat", 3)
    watch.look()
    assert mailoutbox == []  # a beat that starts with us has a moment to be seen
    monkeypatch.setattr(ticker, "monotonic", lambda: float("inf"))
    watch.look()
    assert [mail.subject for mail in mailoutbox] == [
        "[Outbound] Critical: No beat process is at work"
    ]
    watch.look()
    assert len(mailoutbox) == 1


def test_what_fails_does_not_end_the_thread(watch, monkeypatch, mailoutbox):
    def broken() -> int:
        raise ValueError("broken")

    monkeypatch.setattr(delivery, "deliver_due", broken)
    watch.look()
    monkeypatch.undo()
    assert not mailoutbox


def test_it_is_started_and_stopped_with_the_worker(watch, monkeypatch):
    looked = []
    monkeypatch.setattr(watch, "look", lambda: looked.append(1))
    watch.start()
    assert wake.ring(delivery.DELIVER)
    watch.stop()
    assert looked
    assert not watch._thread.is_alive()
    assert not Alert.objects.exists()
    assert not Notice.objects.exists()
