"""Calls begin at their start slots: never before, and not late."""

from __future__ import annotations

import threading

import pytest

from messaging import departures, rebooking
from messaging.departures import Departures
from messaging.providers.base import Outgoing, Sender, steady_seconds
from messaging.rebooking import Rebooking

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def _real_grace(monkeypatch):
    monkeypatch.setattr(departures, "GRACE_SECONDS", 0.04)


def call(key: str, start_at: float, deadline: float = 1e9) -> Outgoing:
    return Outgoing(
        key, Sender("1", "t"), "+1", False, "text", {}, "", "", deadline, start_at=start_at
    )


def keys(calls) -> list[str]:
    return [one.key for one in calls]


def test_a_call_goes_at_its_slot_and_not_before():
    waiting = Departures()
    waiting.add([call("b", 100.2), call("a", 100.1)])
    assert waiting.due(100.0) == ([], [])
    assert waiting.wait(100.0, 60.0) == pytest.approx(0.1)
    assert keys(waiting.due(100.1)[0]) == ["a"]
    assert keys(waiting.due(100.24)[0]) == ["b"]
    assert (len(waiting), waiting.wait(100.3, 60.0)) == (0, 60.0)


def test_a_call_that_missed_its_slot_does_not_go():
    waiting = Departures()
    waiting.add([call("a", 100.0), call("b", 100.01), call("c", 100.09)])
    going, missed = waiting.due(100.1)
    assert (keys(going), keys(missed)) == (["c"], ["a", "b"])
    assert waiting.lateness == pytest.approx(0.1)


def test_a_call_past_its_deadline_is_handed_on_to_be_refused():
    waiting = Departures()
    waiting.add([call("a", 100.0, deadline=110.0)])
    assert keys(waiting.due(120.0)[0]) == ["a"]


def test_many_calls_at_once_go_in_groups_between_which_the_time_is_looked_at():
    waiting = Departures()
    waiting.add([call(str(n), 100.0) for n in range(100)])
    assert len(waiting.due(100.0)[0]) == departures.MOST_AT_ONCE
    assert waiting.wait(100.0, 60.0) == 0.0


def test_whatever_breaks_in_booking_the_calls_come_back():
    tries: list[int] = []

    def book_again(keys, _lead):
        tries.append(len(keys))
        if len(tries) == 1:
            message = "no such thing in the dictionary"
            raise KeyError(message)
        return dict.fromkeys(keys, 1.0)

    back: list[Outgoing] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebooking, "ASK_AGAIN_SECONDS", 0.0)
        again = Rebooking(book_again, back.extend)
        again.ask([call("a", 1.0)], 0.0)
        wait_for(lambda: len(back) == 1)
        again.ask([call("b", 1.0)], 0.0)
        wait_for(lambda: len(back) == 2)
    assert len(again) == 0
    again.close()


def wait_for(condition) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("it did not happen")


def test_a_lateness_is_forgotten_in_time():
    waiting = Departures()
    waiting.add([call("a", 100.0)])
    waiting.due(100.2)
    for n in range(200):
        waiting.add([call(str(n), 101.0 + n)])
        waiting.due(101.0 + n)
    assert waiting.lateness < 0.01


def test_delays_within_the_grace_keep_every_sliding_second_within_the_rate():
    rate = 60
    starts = []
    waiting = Departures()
    waiting.add([call(str(n), 100 + n / rate) for n in range(300)])
    now = 100.0
    while len(waiting):
        going, missed = waiting.due(now)
        assert missed == []
        starts += [now] * len(going)
        now += 0.039  # the worst stalls that are no misses
    for start in starts:
        assert sum(start <= other < start + 1 for other in starts) <= rate * 1.05 + 1


class Back:
    """Collects what is handed back."""

    def __init__(self, count: int) -> None:
        self.calls: list[Outgoing] = []
        self._count = count
        self._all = threading.Event()

    def __call__(self, calls: list[Outgoing]) -> None:
        self.calls += calls
        if len(self.calls) >= self._count:
            self._all.set()

    def wait(self) -> list[Outgoing]:
        assert self._all.wait(10)
        return self.calls


def test_late_calls_come_back_with_new_slots_that_allow_for_the_lag():
    leads = []

    def book(asked, lead):
        leads.append(lead)
        return {key: 200.0 + place for place, key in enumerate(asked)}

    back = Back(2)
    booking = Rebooking(book, back)
    booking.ask([call("a", 100.0), call("b", 100.1)], 0.3)
    assert [(one.key, one.start_at) for one in back.wait()] == [("a", 200.0), ("b", 201.0)]
    assert leads == [pytest.approx(0.6)]
    assert len(booking) == 0
    booking.close()


def test_without_new_slots_they_are_asked_for_again(monkeypatch):
    monkeypatch.setattr(rebooking, "ASK_AGAIN_SECONDS", 0.01)
    answers = [{}, {}, {"a": 300.0}]
    back = Back(1)
    booking = Rebooking(lambda _keys, _lead: answers.pop(0), back)
    booking.ask([call("a", 100.0)], 0.0)
    assert back.wait()[0].start_at == 300.0
    booking.close()


def test_a_call_whose_deadline_passes_meanwhile_is_handed_back_without_a_slot(monkeypatch):
    monkeypatch.setattr(rebooking, "ASK_AGAIN_SECONDS", 0.01)
    back = Back(1)
    booking = Rebooking(lambda _keys, _lead: {}, back)
    booking.ask([call("a", 100.0, deadline=steady_seconds() + 0.05)], 0.0)
    assert back.wait()[0].deadline < steady_seconds()
    booking.close()
