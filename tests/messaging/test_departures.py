"""Calls begin at their start slots: never before, and not late."""

from __future__ import annotations

import pytest

from messaging import departures
from messaging.departures import Departures
from messaging.providers.base import Outgoing, Sender

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def _real_grace(monkeypatch):
    monkeypatch.setattr(departures, "GRACE_SECONDS", 0.05)


def call(key: str, start_at: float, deadline: float = 1e9) -> Outgoing:
    return Outgoing(
        key, Sender("1", "t"), "+1", False, "text", {}, "", "", deadline, start_at=start_at
    )


def keys(calls) -> list[str]:
    return [one.key for one in calls]


def never(_keys, _lead):
    raise AssertionError


def test_a_call_goes_at_its_slot_and_not_before():
    waiting = Departures(never)
    waiting.add([call("b", 100.2), call("a", 100.1)])
    assert keys(waiting.due(100.0)) == []
    assert waiting.wait(100.0, 60.0) == pytest.approx(0.1)
    assert keys(waiting.due(100.1)) == ["a"]
    assert keys(waiting.due(100.24)) == ["b"]
    assert (len(waiting), waiting.wait(100.3, 60.0)) == (0, 60.0)


def test_a_call_that_missed_its_slot_books_again():
    asked = []

    def book(missed, lead):
        asked.append((list(missed), lead))
        return {key: 101.0 + place for place, key in enumerate(missed)}

    waiting = Departures(book)
    waiting.add([call("a", 100.0), call("b", 100.01), call("c", 100.09)])
    assert keys(waiting.due(100.1)) == ["c"]
    assert asked == [(["a", "b"], 0.05)]
    assert keys(waiting.due(101.0)) == ["a"]
    assert keys(waiting.due(102.0)) == ["b"]


def test_slots_missed_again_and_again_are_booked_further_ahead():
    leads = []

    def book(missed, lead):
        leads.append(lead)
        return dict.fromkeys(missed, 0.0)

    waiting = Departures(book)
    waiting.add([call("a", 0.0)])
    for _ in range(8):
        assert waiting.due(10.0) == []
    assert leads == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6]


def test_without_new_slots_nothing_goes_until_there_are_some():
    answers: list[dict[str, float]] = [{}, {}, {"a": 105.0}]
    waiting = Departures(lambda _missed, _lead: answers.pop(0))
    waiting.add([call("a", 100.0)])
    assert waiting.due(101.0) == []
    assert waiting.due(102.0) == []
    assert waiting.due(103.0) == []
    assert keys(waiting.due(105.0)) == ["a"]


def test_a_call_past_its_deadline_is_handed_on_to_be_refused():
    waiting = Departures(never)
    waiting.add([call("a", 100.0, deadline=110.0)])
    assert keys(waiting.due(120.0)) == ["a"]


def test_delays_within_the_grace_keep_every_sliding_second_within_the_rate():
    rate = 60
    starts = []
    waiting = Departures(never)
    waiting.add([call(str(n), 100 + n / rate) for n in range(300)])
    now = 100.0
    while len(waiting):
        starts += [now] * len(waiting.due(now))
        now += 0.049  # the worst stalls that are no misses
    for start in starts:
        assert sum(start <= other < start + 1 for other in starts) <= rate * 1.05 + 1
