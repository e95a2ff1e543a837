"""The calls in flight follow the rate of the number and the latency of the provider."""

from __future__ import annotations

import pytest

from messaging.lanes import Lane, take_turns
from messaging.models import PhoneNumber
from messaging.pace import Pace

pytestmark = pytest.mark.core


def number(rate: int) -> PhoneNumber:
    return PhoneNumber(pk=1, messages_per_second=rate)


def settled(latency: float) -> Pace:
    pace = Pace()
    for _ in range(500):
        pace.note(1, latency)
    return pace


@pytest.mark.parametrize(
    ("rate", "latency", "least", "most"),
    [(80, 0.35, 68, 80), (1000, 0.35, 850, 960), (1, 0.01, 1, 1), (80, 60.0, 440, 450)],
)
def test_in_flight_is_rate_times_latency_and_the_wait_for_slots(rate, latency, least, most):
    assert least <= settled(latency).ceiling(number(rate)) <= most


def test_a_provider_that_grows_slower_gets_more_calls_in_flight():
    pace = settled(0.1)
    before = pace.ceiling(number(80))
    for _ in range(500):
        pace.note(1, 1.0)
    assert pace.ceiling(number(80)) >= before + 80 * 0.85


def test_a_number_at_its_ceiling_gets_no_turn_and_leaves_its_places_to_others():
    lanes = [Lane(1, 20), Lane(2, 20)]
    turns = take_turns(lanes, free=50, capacity=100, busy={1: 10}, ceilings={1: 10, 2: 40})
    assert [(turn.lane.number_id, turn.most) for turn in turns] == [(2, 33)]


def test_of_one_number_the_better_lane_goes_first():
    turns = take_turns([Lane(1, 30), Lane(1, 10)], free=5, capacity=10, busy={})
    assert [turn.lane.priority for turn in turns] == [10]
