"""Both stores against the model, through whatever sequence Hypothesis thinks of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ratelimit.limiter import Used
from ratelimit.rules import SECOND, Ask, gap
from tests.factories.orgs import OrganizationFactory
from tests.ratelimit.sides import START, DatabaseSide, Model, RedisSide, Side

WINDOW = 600  # seconds: short enough that examples see several
QUOTAS = (5, 60)
RATES = (2, 60)
serial = itertools.count(1)


class Limits(RuleBasedStateMachine):
    """Every step is taken on the model and on each side; all must agree."""

    sides: tuple[Side, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.orgs = [OrganizationFactory() for _ in QUOTAS]
        self.base = next(serial) * 100
        self.model = Model(
            WINDOW * SECOND, {org.pk: QUOTAS[place] for place, org in enumerate(self.orgs)}
        )
        for side in self.sides:
            for place, org in enumerate(self.orgs):
                side.set_quota(org, QUOTAS[place])
        self.granted: list[Used] = []
        self.slots: dict[int, list[int]] = {}
        self.pairs: dict[tuple[int, int], list[int]] = {}

    def _ask(self, org: int, number: int, contact: int) -> Ask:
        tenant = self.orgs[org]
        # A number belongs to one organisation.
        pk = self.base + 2 * org + number
        return Ask(tenant.pk, tenant.org_id, pk, gap(RATES[number]), contact)

    @rule(
        wanted=st.lists(
            st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from([0, 1, 2])),
            min_size=1,
            max_size=50,
        )
    )
    def decide(self, wanted: list[tuple[int, int, int]]) -> None:
        self._decide([self._ask(*one) for one in wanted])

    @rule(contact=st.sampled_from([1, 2]), count=st.integers(20, 60))
    def burst(self, contact: int, count: int) -> None:
        self._decide([self._ask(1, 1, contact)] * count)

    @rule(seconds=st.sampled_from([0.001, 0.3, 1, 7, 100, 599, 601]))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @rule(org=st.sampled_from([0, 1]), limit=st.sampled_from([1, 5, 60, 1000]))
    def change_quota(self, org: int, limit: int) -> None:
        tenant = self.orgs[org]
        self.model.limits[tenant.pk] = limit
        for side in self.sides:
            side.set_quota(tenant, limit)

    @rule(org=st.sampled_from([0, 1]), seconds=st.sampled_from([1, 30, 700]))
    def throttle(self, org: int, seconds: int) -> None:
        tenant, until = self.orgs[org], self.now + seconds * SECOND
        self.model.throttled[tenant.pk] = until
        for side in self.sides:
            side.throttle(tenant, until, self.now)

    @rule(count=st.integers(1, 5))
    def give_back(self, count: int) -> None:
        unused, self.granted = self.granted[-count:], self.granted[:-count]
        if unused:
            self.model.give_back(unused)
            for side in self.sides:
                side.give_back(unused)

    @invariant()
    def no_sliding_second_is_too_full(self) -> None:
        for number, slots in self.slots.items():
            rate = RATES[(number - self.base) % 2]
            recent = slots[-200:]
            for start in recent:
                assert sum(start <= slot < start + SECOND for slot in recent) <= rate * 1.05 + 1

    @invariant()
    def no_person_is_sent_more_than_a_burst_and_one_each_six_seconds(self) -> None:
        """Whatever was given back: what Meta counts has arrived."""
        for slots in self.pairs.values():
            recent = slots[-150:]
            for place, start in enumerate(recent):
                for count, end in enumerate(recent[place:], start=1):
                    assert count <= 45 + (end - start) / (6 * SECOND)

    def _decide(self, asks: list[Ask]) -> None:
        expected = self.model.decide(asks, self.now)
        answers = [side.decide(asks, self.now) for side in self.sides]
        for answer in answers:
            assert [verdict.limit for verdict in answer] == expected
            assert answer == answers[0]
        for ask, verdict in zip(asks, answers[0], strict=True):
            if verdict.limit is None:
                self.granted.append(Used(ask, verdict.window))
                self.slots.setdefault(ask.number, []).append(verdict.at)
                if ask.contact:
                    self.pairs.setdefault((ask.number, ask.contact), []).append(verdict.at)


CALM = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _short_window(settings):
    settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS = WINDOW


@pytest.mark.core
@pytest.mark.django_db
def test_the_database_store_does_as_the_model():
    Limits.sides = (DatabaseSide(),)
    run_state_machine_as_test(Limits, settings=CALM)


@pytest.mark.redis
@pytest.mark.django_db
def test_both_stores_do_as_the_model(redis_client):
    Limits.sides = (DatabaseSide(), RedisSide(redis_client))
    run_state_machine_as_test(Limits, settings=CALM)
