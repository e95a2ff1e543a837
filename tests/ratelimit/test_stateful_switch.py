"""Redis flushed, forgotten and passed by in any order: the database's answers stay the model's."""

from __future__ import annotations

import itertools

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis import Redis

from ratelimit import limiter
from ratelimit.models import WhatsAppRateLimit
from ratelimit.rules import SECOND, Ask, Limit, gap
from tests.factories.orgs import OrganizationFactory
from tests.ratelimit.sides import START, DatabaseSide, Model

pytestmark = [pytest.mark.django_db, pytest.mark.redis]

WINDOW = 600  # seconds
QUOTA = 60
RATE = 30
serial = itertools.count(1)


class Switching(RuleBasedStateMachine):
    """Workers that see Redis and workers that do not, over one database."""

    redis: Redis

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.org = OrganizationFactory()
        self.number = 5_000_000 + next(serial)
        self.model = Model(WINDOW * SECOND, {self.org.pk: QUOTA})
        DatabaseSide().set_quota(self.org, QUOTA)
        self.slots: list[int] = []
        limiter.reset()

    @rule(contacts=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=40))
    def a_worker_that_sees_redis_decides(self, contacts: list[int]) -> None:
        asks = self._asks(contacts)
        early = limiter.screen(asks, self.now)
        assert early is not None
        if Limit.QUOTA in {verdict.limit for verdict in early}:
            # It stops an organisation for as long as a day: never by an old count.
            kept = WhatsAppRateLimit.objects.get(org=self.org)
            going = sum(verdict.limit is None for verdict in early)
            assert kept.messages_sent + going >= self.model.limits[self.org.pk]
        self._confirm(
            [ask for ask, verdict in zip(asks, early, strict=True) if verdict.limit is None]
        )

    @rule(contacts=st.lists(st.sampled_from([0, 1]), min_size=1, max_size=40))
    def a_worker_that_does_not_decides(self, contacts: list[int]) -> None:
        self._confirm(self._asks(contacts))

    @rule()
    def redis_is_flushed(self) -> None:
        self.redis.flushdb()

    @rule()
    def a_worker_comes_back_from_an_outage(self) -> None:
        """It reads the counts anew: what Redis kept may be older."""
        limiter._front().current.clear()

    @rule(seconds=st.sampled_from([0.3, 1, 7, 599, 601]))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @rule(limit=st.sampled_from([5, 60, 200]))
    def change_quota(self, limit: int) -> None:
        self.model.limits[self.org.pk] = limit
        DatabaseSide().set_quota(self.org, limit)

    @invariant()
    def no_sliding_second_is_too_full(self) -> None:
        for start in self.slots[-200:]:
            within = sum(start <= slot < start + SECOND for slot in self.slots[-200:])
            assert within <= RATE * 1.05 + 1

    def _asks(self, contacts: list[int]) -> list[Ask]:
        org = self.org
        return [Ask(org.pk, org.org_id, self.number, gap(RATE), contact) for contact in contacts]

    def _confirm(self, asks: list[Ask]) -> None:
        expected = self.model.decide(asks, self.now)
        with transaction.atomic():
            verdicts = limiter.confirm(asks, self.now)
        assert [verdict.limit for verdict in verdicts] == expected
        self.slots += [verdict.at for verdict in verdicts if verdict.limit is None]


def test_what_is_let_go_is_the_models_answer_whatever_becomes_of_redis(redis_client, settings):
    settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS = WINDOW
    settings.OUTBOUND_REDIS_TIMEOUT_SECONDS = 5.0
    Switching.redis = redis_client
    run_state_machine_as_test(Switching, settings=CALM)
    limiter.reset()


CALM = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
