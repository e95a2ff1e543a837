"""Redis goes away and comes back: no limit is broken, nobody waits, nothing stays stuck."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from redis import Redis

from ratelimit import limiter, quota
from ratelimit.models import WhatsAppRateLimit
from ratelimit.rules import SECOND, Ask, Limit, gap, micros
from tests import services
from tests.factories.orgs import OrganizationFactory
from tests.ratelimit.sides import START
from tests.server_process import Server

pytestmark = [pytest.mark.django_db, pytest.mark.redis]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with services.redis(private=True) as started:
        yield started


@pytest.fixture
def redis(server: Server, settings) -> Iterator[Redis]:
    settings.REDIS_URL = server.url
    settings.OUTBOUND_REDIS_TIMEOUT_SECONDS = 5.0  # a machine that stalls is no outage
    limiter.reset()
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client
    limiter.reset()


@pytest.fixture
def soon(monkeypatch):
    """Have the breaker try again at once."""
    monkeypatch.setattr(limiter, "REST_SECONDS", 0.0)
    limiter.reset()


def ask(org, contact: int = 0, number: int = 7) -> Ask:
    return Ask(org.pk, org.org_id, number, gap(1000), contact)


def go(asks: list[Ask], now: int = START) -> list[Limit | None]:
    """Decide as a claim does: early in Redis if it is there, then for good."""
    early = limiter.screen(asks, now)
    going = [
        a for a, v in zip(asks, early or [None] * len(asks), strict=True) if not v or not v.limit
    ]
    with transaction.atomic():
        decided = iter(limiter.confirm(going, now))
    return [
        verdict.limit if verdict is not None and verdict.limit else next(decided).limit
        for verdict in early or [None] * len(asks)
    ]


def set_quota(org, limit: int) -> None:
    quota.change(org, limit, actor="user:1", reason="test")


def key(what: str, org) -> str:
    return f"whatsapp:ratelimit:{what}:{{{org.org_id}}}"


def test_the_keys_are_the_specified_ones_and_end_with_the_window(redis, org):
    go([ask(org)] * 3, int(time.time() * SECOND))
    assert redis.get(key("counter", org)) == b"3"
    assert redis.get(key("limit", org)) == b"1000"
    for name in ("counter", "limit"):
        assert 86_300_000 < redis.pttl(key(name, org)) <= 86_400_000


def test_every_key_of_an_organization_lives_on_one_node_of_a_cluster(redis, org):
    go([ask(org, contact=5)])
    assert redis.dbsize()
    assert all(b"{acme}" in name for name in redis.scan_iter())
    assert all(redis.pttl(name) > 0 for name in redis.scan_iter())


def test_limits_hold_across_the_switch(server, redis, org):
    set_quota(org, 10)
    assert go([ask(org)] * 4) == [None] * 4
    server.stop()
    try:
        assert go([ask(org)] * 4) == [None] * 4
    finally:
        server.start()
    limiter.reset()
    assert go([ask(org)] * 4) == [None, None, Limit.QUOTA, Limit.QUOTA]


def test_a_flushed_redis_is_rebuilt_from_the_database(redis, org):
    set_quota(org, 5)
    go([ask(org)] * 4)
    redis.flushall()
    assert go([ask(org)] * 2) == [None, Limit.QUOTA]
    assert redis.get(key("counter", org)) == b"5"


def test_a_redis_that_kept_old_counts_over_an_outage_is_brought_up_to_date(soon, redis, org):
    set_quota(org, 5)
    go([ask(org)])
    front = limiter._front()
    front.current.clear()
    with transaction.atomic():
        limiter.confirm([ask(org)] * 3, START)  # by a worker that does not see Redis
    assert go([ask(org)] * 2) == [None, Limit.QUOTA]


def test_a_pair_at_its_limit_stays_there_across_a_flush(redis, org):
    go([ask(org, contact=5)] * 45)
    redis.flushall()
    assert go([ask(org, contact=5)]) == [Limit.PAIR]


def test_redis_learns_what_the_database_refused(redis, org):
    go([ask(org, contact=5)] * 45)
    redis.flushall()
    go([ask(org, contact=5)])
    limiter.correct([ask(org, contact=5)], START)
    (early,) = limiter.screen([ask(org, contact=5)], START)
    assert early.limit == Limit.PAIR


def test_a_worker_that_sees_redis_and_one_that_does_not_share_one_quota(redis, org):
    set_quota(org, 6)
    assert go([ask(org)] * 3) == [None] * 3
    with transaction.atomic():
        blind = limiter.confirm([ask(org)] * 2, START)
    assert [verdict.limit for verdict in blind] == [None, None]
    # Redis believes that three are left; the database knows better.
    assert go([ask(org)] * 3) == [None, Limit.QUOTA, Limit.QUOTA]
    assert WhatsAppRateLimit.objects.get().messages_sent == 6


def test_a_stopped_redis_is_waited_for_once(server, redis, org):
    go([ask(org)])
    server.stop()
    try:
        limiter.screen([ask(org)], START)
        begun = time.monotonic()
        for _ in range(100):
            assert limiter.screen([ask(org)], START) is None
        assert time.monotonic() - begun < 0.2
        assert limiter.redis_state() == "down"
    finally:
        server.start()


def test_a_redis_that_hangs_costs_one_short_time_out(redis, org, settings):
    settings.OUTBOUND_REDIS_TIMEOUT_SECONDS = 0.1
    limiter.reset()
    go([ask(org)])
    redis.execute_command("CLIENT", "PAUSE", 1500)
    begun = time.monotonic()
    assert limiter.screen([ask(org)], START) is None
    assert limiter.screen([ask(org)], START) is None
    assert time.monotonic() - begun < 1.0


def test_a_redis_that_answers_errors_is_left_alone(soon, redis, org):
    redis.config_set("maxmemory", "1")
    try:
        assert limiter.screen([ask(org)], START) is None
    finally:
        redis.config_set("maxmemory", "0")
    assert limiter.screen([ask(org)], START) is not None


def test_scripts_that_redis_forgot_are_given_again(redis, org):
    go([ask(org)])
    redis.script_flush()
    assert go([ask(org)]) == [None]


def test_redis_back_is_used_again(soon, server, redis, org):
    server.stop()
    assert limiter.screen([ask(org)], START) is None
    server.start()
    assert limiter.screen([ask(org)], START) is not None
    assert limiter.redis_state() == "ok"


HUGE = "8000000000000000"  # the year 2223
RUBBISH = ["many", "-5", "1.5", "5.0", "1e1", "nan", "inf", "", "9" * 40, "0x10", "0x10z", " 5"]


@pytest.mark.parametrize("what", ["counter", "limit", "window"])
@pytest.mark.parametrize("text", RUBBISH)
def test_a_key_that_holds_rubbish_heals_itself(redis, org, what, text):
    set_quota(org, 3)
    go([ask(org)])
    redis.set(key(what, org), text)
    assert go([ask(org)] * 3) == [None, None, Limit.QUOTA]


@pytest.mark.parametrize("what", ["counter", "limit", "window", "throttle"])
@pytest.mark.parametrize("plant", ["rpush", "sadd", "hset"])
def test_a_key_of_the_wrong_type_heals_itself(redis, org, what, plant):
    set_quota(org, 3)
    go([ask(org)])
    redis.delete(key(what, org))
    getattr(redis, plant)(key(what, org), *(["x", "y"] if plant == "hset" else ["x"]))
    assert go([ask(org)] * 3) == [None, None, Limit.QUOTA]


def test_rubbish_is_reported_once(redis, org, caplog):
    for _ in range(3):
        redis.set(key("counter", org), "rubbish", px=60_000)
        go([ask(org)])
    reports = [record for record in caplog.records if "unusable" in record.message]
    assert len(reports) == 1


def test_rubbish_in_a_numbers_key_is_reported_once(redis, org, caplog):
    for _ in range(3):
        go([ask(org)])
        redis.set("whatsapp:ratelimit:throughput:{acme}:7", HUGE)
    reports = [record for record in caplog.records if "unusable" in record.message]
    assert len(reports) == 1


def test_a_counter_without_an_end_blocks_nobody(redis, org):
    """A counter raised by INCR whose EXPIRE never came, as after a crash between the two."""
    go([ask(org)])
    redis.set(key("counter", org), 1000)
    assert redis.ttl(key("counter", org)) == -1
    assert go([ask(org)]) == [None]
    assert redis.get(key("counter", org)) == b"2"
    assert redis.ttl(key("counter", org)) > 0


def test_a_count_in_redis_that_is_too_high_does_not_hold_an_organization(redis, org):
    go([ask(org)])
    redis.set(key("counter", org), 1000, px=86_400_000)
    assert go([ask(org)]) == [None]


@pytest.mark.parametrize("text", [*RUBBISH, HUGE])
def test_rubbish_in_pair_and_throughput_keys_is_nothing(redis, org, text):
    go([ask(org, contact=5)])
    redis.set("whatsapp:ratelimit:pair:{acme}:7:5", text)
    redis.set("whatsapp:ratelimit:throughput:{acme}:7", text)
    assert go([ask(org, contact=5)]) == [None]
    assert all(0 < redis.pttl(name) < 120_000 for name in redis.scan_iter("*:7*"))


@pytest.mark.parametrize("text", [*RUBBISH, HUGE])
def test_rubbish_in_a_throttle_key_throttles_nobody(redis, org, text):
    go([ask(org)])
    redis.set(key("throttle", org), text)
    assert go([ask(org)]) == [None]
    assert not redis.exists(key("throttle", org))


def test_a_throttle_that_redis_was_not_told_of_the_end_of_is_no_more(redis, org):
    now = timezone.now()
    quota.throttle(org.pk, now + timedelta(hours=1))
    at = micros(now)
    limiter.correct([ask(org)], at)
    assert go([ask(org)], at) == [Limit.THROTTLED]
    WhatsAppRateLimit.objects.update(throttled_until=None)  # by a process that met a time-out
    assert go([ask(org)], at) == [None]


def test_lifting_a_throttle_reaches_redis(redis, org, django_capture_on_commit_callbacks):
    now = timezone.now()
    with django_capture_on_commit_callbacks(execute=True):
        quota.throttle(org.pk, now + timedelta(hours=1))
    assert redis.exists(key("throttle", org))
    assert go([ask(org)], micros(now)) == [Limit.THROTTLED]
    with django_capture_on_commit_callbacks(execute=True):
        assert quota.lift_throttle(org, actor="user:1", reason="over")
    assert not redis.exists(key("throttle", org))
    assert go([ask(org)], micros(now)) == [None]


def test_the_rubbish_of_one_organization_is_not_the_trouble_of_all(redis, org):
    go([ask(org)])
    redis.set(key("counter", org), "5.0", px=60_000)
    assert limiter.screen([ask(org)], START) is not None
    assert limiter.redis_state() == "ok"


def test_a_redis_that_takes_no_writes_is_away(redis, org):
    redis.config_set("maxmemory", 1)
    redis.config_set("maxmemory-policy", "noeviction")
    try:
        assert limiter.redis_state() == "down"
    finally:
        redis.config_set("maxmemory", 0)


def test_a_slow_redis_costs_one_time_out_over_all_organizations(redis, org, settings, monkeypatch):
    settings.OUTBOUND_REDIS_TIMEOUT_SECONDS = 0.2
    limiter.reset()
    asks = [ask(OrganizationFactory(), number=n) for n in range(20)]
    wire = limiter._front().store._wire
    real = wire.call

    def slowly(parts: Sequence[bytes]) -> object:
        threading.Event().wait(0.1)
        return real(parts)

    monkeypatch.setattr(wire, "call", slowly)
    begun = time.monotonic()
    assert limiter.screen(asks, START) is None
    assert time.monotonic() - begun < 0.5
    assert go(asks) == [None] * 20


def test_raising_the_quota_reaches_redis(redis, org, django_capture_on_commit_callbacks):
    set_quota(org, 1)
    go([ask(org)])
    with django_capture_on_commit_callbacks(execute=True):
        set_quota(org, 3)
    assert redis.get(key("limit", org)) == b"3"
    assert go([ask(org)] * 3) == [None, None, Limit.QUOTA]
