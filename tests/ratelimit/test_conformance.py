"""What both stores must answer alike; every test runs on each of them."""

from __future__ import annotations

import pytest

from orgs.models import Organization
from ratelimit.limiter import Used
from ratelimit.rules import HORIZON, PAIR_BURST, PAIR_STEP, SECOND, Ask, Limit, gap
from tests.ratelimit.sides import START, Side

pytestmark = [pytest.mark.django_db, pytest.mark.core]

DAY = 86_400 * SECOND


def ask(org: Organization, number: int = 7, contact: int = 0, rate: int = 1000) -> Ask:
    return Ask(org.pk, org.org_id, number, gap(rate), contact)


def limits(verdicts) -> list[Limit | None]:
    return [verdict.limit for verdict in verdicts]


def test_a_first_message_goes_at_once_and_opens_the_window(side: Side, org):
    (verdict,) = side.decide([ask(org)], START)
    assert verdict == (None, START, START + DAY)


def test_start_slots_are_evenly_spaced(side: Side, org):
    verdicts = side.decide([ask(org, rate=60)] * 5, START)
    assert [verdict.at - START for verdict in verdicts] == [0, 16667, 33334, 50001, 66668]


def test_slots_are_given_out_half_a_second_ahead_and_no_further(side: Side, org):
    verdicts = side.decide([ask(org, rate=60)] * 60, START)
    assert limits(verdicts).count(None) == 30
    held = verdicts[-1]
    assert held.limit == Limit.THROUGHPUT
    assert held.at == START + 30 * 16667 - HORIZON
    assert limits(side.decide([ask(org, rate=60)], held.at)) == [None]


def test_a_slow_number_does_not_slow_another(side: Side, org):
    side.decide([ask(org, rate=1)] * 2, START)
    asks = [ask(org, rate=1), ask(org, number=8)]
    assert limits(side.decide(asks, START)) == [Limit.THROUGHPUT, None]


@pytest.mark.parametrize("rate", [1, 20, 60, 80, 1000])
def test_no_sliding_second_holds_more_than_the_rate(side: Side, org, rate):
    side.set_quota(org, 1_000_000)
    slots, now = [], START
    for _ in range(40):
        slots += [v.at for v in side.decide([ask(org, rate=rate)] * 70, now) if v.limit is None]
        now += SECOND // 10
    for start in slots:
        assert sum(start <= slot < start + SECOND for slot in slots) <= rate + 1


def test_the_quota_holds_until_the_window_ends(side: Side, org):
    side.set_quota(org, 3)
    verdicts = side.decide([ask(org)] * 5, START)
    assert limits(verdicts) == [None, None, None, Limit.QUOTA, Limit.QUOTA]
    assert verdicts[-1].at == START + DAY
    assert limits(side.decide([ask(org)], START + DAY - 1)) == [Limit.QUOTA]
    assert limits(side.decide([ask(org)], START + DAY)) == [None]


def test_the_window_counts_from_its_first_message(side: Side, org):
    side.set_quota(org, 1)
    side.decide([ask(org)], START)
    (verdict,) = side.decide([ask(org)], START + DAY + 5 * SECOND)
    assert verdict.window == START + 2 * DAY + 5 * SECOND


def test_one_organization_does_not_use_the_quota_of_another(side: Side, org, other_org):
    side.set_quota(org, 1)
    asks = [ask(org), ask(org), ask(other_org, number=8)]
    assert limits(side.decide(asks, START)) == [None, Limit.QUOTA, None]


def test_a_held_message_takes_nothing(side: Side, org):
    side.set_quota(org, 1)
    side.decide([ask(org)], START)
    side.decide([ask(org, number=8, contact=1)] * 50, START)
    side.set_quota(org, 1)
    (verdict,) = side.decide([ask(org, number=8, contact=1)], START + DAY)
    assert (verdict.limit, verdict.at) == (None, START + DAY)


def test_a_burst_of_45_to_one_person_goes_and_no_more(side: Side, org):
    verdicts = side.decide([ask(org, contact=1)] * (PAIR_BURST + 2), START)
    assert limits(verdicts) == [None] * PAIR_BURST + [Limit.PAIR] * 2


def test_who_waits_for_the_pair_is_told_a_time_in_turn(side: Side, org):
    verdicts = side.decide([ask(org, contact=1)] * (PAIR_BURST + 3), START)
    waits = [verdict.at - START for verdict in verdicts if verdict.limit]
    assert waits == [PAIR_STEP, 2 * PAIR_STEP, 3 * PAIR_STEP]
    assert limits(side.decide([ask(org, contact=1)] * 2, START + PAIR_STEP)) == [None, Limit.PAIR]


def test_other_people_go_on_while_one_waits(side: Side, org):
    side.decide([ask(org, contact=1)] * PAIR_BURST, START)
    asks = [ask(org, contact=1), ask(org, contact=2), ask(org, number=8, contact=1)]
    assert limits(side.decide(asks, START)) == [Limit.PAIR, None, None]


def test_a_burst_is_paid_back_one_by_one(side: Side, org):
    side.decide([ask(org, contact=1)] * 20, START)
    # Some two minutes later nothing is owed: a whole burst may go again.
    verdicts = side.decide([ask(org, contact=1)] * 46, START + 20 * PAIR_STEP)
    assert limits(verdicts).count(None) == 45


def test_a_throttled_organization_sends_nothing_until_then(side: Side, org, other_org):
    side.throttle(org, START + 60 * SECOND, START)
    asks = [ask(org), ask(other_org, number=8)]
    first, second = side.decide(asks, START)
    assert (first.limit, first.at) == (Limit.THROTTLED, START + 60 * SECOND)
    assert second.limit is None
    assert limits(side.decide([ask(org)], START + 60 * SECOND)) == [None]


def test_what_was_not_used_goes_back(side: Side, org):
    side.set_quota(org, 45)
    verdicts = side.decide([ask(org, contact=1)] * 45, START)
    side.give_back([Used(ask(org, contact=1), verdicts[0].window)] * 2)
    again = side.decide([ask(org, contact=2)] * 3, START)
    assert limits(again) == [None, None, Limit.QUOTA]


def test_what_was_borrowed_from_a_pair_pays_itself_back_and_does_not_go_back(side: Side, org):
    """Answers come late: by then the steps of their messages have passed by themselves."""
    early = [side.decide([ask(org, contact=1)], START + n * 7 * SECOND)[0] for n in range(4)]
    burst = side.decide([ask(org, contact=1)] * 60, START + 28 * SECOND)
    assert limits(burst).count(None) == PAIR_BURST
    side.give_back([Used(ask(org, contact=1), verdict.window) for verdict in early])
    assert limits(side.decide([ask(org, contact=1)], START + 28 * SECOND)) == [Limit.PAIR]


def test_nothing_goes_back_to_a_later_window(side: Side, org):
    side.set_quota(org, 1)
    (verdict,) = side.decide([ask(org)], START)
    side.decide([ask(org)], START + DAY)
    side.give_back([Used(ask(org), verdict.window)])
    assert limits(side.decide([ask(org)], START + DAY)) == [Limit.QUOTA]


def test_a_batch_of_nothing_is_answered_by_nothing(side: Side, org):
    assert side.decide([], START) == []


def test_a_large_batch_with_many_pairs_is_one_decision(side: Side, org):
    side.set_quota(org, 1_000_000)
    asks = [ask(org, contact=contact) for contact in range(1, 501)]
    assert limits(side.decide(asks, START)) == [None] * 500
