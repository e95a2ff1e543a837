"""Hints cost a request nothing, are bundled, and leave a dead broker in peace."""

from __future__ import annotations

import threading

import pytest
from kombu.exceptions import OperationalError

from messaging import wake

DEADLINE = 10.0


class Broker:
    """Stands in for Celery: takes its time, or is away."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.away = False
        self.called = threading.Semaphore(0)
        self.go_on = threading.Event()

    def publish(self, task: str) -> bool:
        self.called.release()
        assert self.go_on.wait(DEADLINE)
        if not self.away:
            self.tasks.append(task)
        return not self.away


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch):
    """A broker, with a messenger of its own and short pauses."""
    stand_in = Broker()
    monkeypatch.setattr(wake, "DEBOUNCE_SECONDS", 0.001)
    monkeypatch.setattr(wake, "_messenger", wake._Messenger(stand_in.publish))
    yield stand_in
    stand_in.go_on.set()


def called(broker: Broker) -> bool:
    return broker.called.acquire(timeout=DEADLINE)


def test_nobody_waits_for_a_broker_that_hangs(broker: Broker):
    for _ in range(1000):
        wake.now(wake.SEND)  # would hang here
    assert called(broker)
    assert broker.tasks == []


def test_hints_given_while_one_is_on_its_way_become_one(broker: Broker):
    wake.now(wake.SEND)
    assert called(broker)
    for _ in range(50):
        wake.now(wake.SEND)
    broker.go_on.set()
    assert called(broker)
    wake.now(wake.RECEIPTS)
    assert called(broker)
    assert broker.tasks[:2] == [wake.SEND, wake.SEND]


def test_after_a_failure_the_broker_is_left_alone_for_a_while(broker: Broker, monkeypatch):
    monkeypatch.setattr(wake, "QUIET_SECONDS", 3600.0)
    broker.away = True
    broker.go_on.set()
    wake.now(wake.SEND)
    assert called(broker)
    wake.now(wake.SEND)
    assert not broker.called.acquire(timeout=0.3)


def test_a_broker_that_comes_back_is_used_again(broker: Broker, monkeypatch):
    monkeypatch.setattr(wake, "QUIET_SECONDS", 0.001)
    broker.away = True
    broker.go_on.set()
    wake.now(wake.SEND)
    assert called(broker)
    broker.away = False
    wake.now(wake.SEND)
    assert called(broker)


def test_a_broker_that_is_away_raises_nothing(monkeypatch):
    def send_task(*_arguments: object, **_options: object) -> None:
        raise OperationalError

    monkeypatch.setattr(wake.current_app, "send_task", send_task)
    assert wake._publish(wake.SEND) is False
