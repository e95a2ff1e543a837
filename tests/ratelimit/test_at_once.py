"""Many threads at the same limits, on real connections: nothing is granted twice, no deadlock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from messaging import circuit, claims, dispatch, limits
from messaging.candidates import Claimed
from messaging.providers.base import Outcome, Result
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from ratelimit import holds, limiter, quota, reach, usage
from ratelimit.models import Hold, PairUsage, PortfolioReach, WhatsAppRateLimit
from ratelimit.rules import DAY, PAIR_BURST, SECOND, Ask, gap, micros
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.messaging.test_concurrency import at_once
from tests.ratelimit.sides import START, DatabaseSide, RedisSide

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

THREADS = 8


def ask(org, contact: int = 0, rate: int = 1000) -> Ask:
    return Ask(org.pk, org.org_id, 7, gap(rate), contact)


def granted(given: list[object]) -> list[int]:
    """Return the start slots of what was let go."""
    for each in given:
        assert isinstance(each, list), each
    return [verdict.at for each in given for verdict in each if verdict.limit is None]


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.redis)])
def decide(request, org) -> Callable[[list[Ask]], list]:
    if request.param == "redis":
        side = RedisSide(request.getfixturevalue("redis_client"))
        side.set_quota(org, 100)
    else:
        side = DatabaseSide()
        side.set_quota(org, 100)
    return lambda asks: side.decide(asks, START)


def test_a_quota_is_shared_by_many_threads(org, decide):
    given = at_once(THREADS, lambda _: [v for _ in range(5) for v in decide([ask(org)] * 7)])
    assert len(granted(given)) == 100


def test_a_burst_to_one_person_is_shared_by_many_threads(org, decide):
    given = at_once(
        THREADS, lambda _: [v for _ in range(3) for v in decide([ask(org, contact=5)] * 4)]
    )
    assert len(granted(given)) == PAIR_BURST


def test_start_slots_are_given_out_once_over_many_threads(org, decide):
    given = at_once(THREADS, lambda _: [v for _ in range(3) for v in decide([ask(org, 0, 60)] * 3)])
    slots = sorted(granted(given))
    assert len(slots) == 30
    assert {after - before for before, after in itertools.pairwise(slots)} == {gap(60)}


@pytest.mark.redis
def test_limits_hold_while_some_workers_see_redis_and_some_do_not(org, redis_client):
    """The switch as it happens: each worker finds out by itself."""
    quota.change(org, 60, actor="user:1", reason="test")

    def work(place: int) -> list:
        verdicts = []
        for _ in range(10):
            asks = [ask(org, contact=place % 2 + 1)] * 3
            early = limiter.screen(asks, START) if place % 2 else None
            count = sum(v.limit is None for v in early) if early is not None else len(asks)
            with transaction.atomic():
                verdicts += limiter.confirm(asks[:count], START)
        return verdicts

    assert len(granted(at_once(THREADS, work))) == 60
    assert WhatsAppRateLimit.objects.get().messages_sent == 60


def claimed(count: int = 1, **fields: object) -> list[Claimed]:
    number = PhoneNumberFactory(**fields)
    for _ in range(count):
        message = MessageFactory(phone_number=number)
        ConsentFactory(contact=message.contact)
    claim = claims.claim_due(100)
    assert claim is not None
    return list(claim.messages)


def refused(message: Claimed, code: str) -> tuple[Claimed, Result]:
    rule = DEFAULT_TABLE.rules[code]
    result = Result(str(message.pk), rule.outcome, error_code=code, http_status=429, rule=rule)
    return message, result


def meet(monkeypatch, owner: object, name: str, *, last: threading.Event) -> None:
    """Have the function wait a little before it goes on, so that two transactions overlap."""
    real = getattr(owner, name)

    def slow(*args: object, **kwargs: object) -> object:
        last.wait(0.5)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, slow)


def test_lifting_a_throttle_and_recording_a_refusal_do_not_deadlock(monkeypatch):
    (message,) = claimed()
    account, org = message.phone_number.account, message.phone_number.org
    now = timezone.now()
    later = now + timedelta(minutes=1)
    holds.place(
        [holds.HoldRequest("account", account.waba_id, "throttle", later, org_id=org.pk)], now
    )
    quota.throttle(org.pk, later)
    never = threading.Event()
    meet(monkeypatch, limits, "note", last=never)  # holds are locked, the row is not
    meet(monkeypatch, quota, "_record", last=never)  # both are locked
    meet(monkeypatch, holds, "end_throttles", last=never)  # holds are locked, the row is not
    deeds = [
        lambda: quota.lift_throttle(org, actor="user:1", reason="over"),
        lambda: dispatch.record([refused(message, "80007")]),
    ]
    assert [e for e in at_once(2, lambda place: deeds[place]()) if isinstance(e, Exception)] == []


def test_a_probe_and_the_record_of_failures_do_not_deadlock(monkeypatch):
    (message,) = claimed()
    app = message.phone_number.account.app
    failure = Result(str(message.pk), Outcome.RETRY, error_code="131016", http_status=503)
    now = timezone.now()
    hold = Hold.objects.create(
        scope="app", key=app.app_id, cause=circuit.UNAVAILABLE, opened_at=now, probe_at=now
    )
    number = message.phone_number
    (wanted,) = limits.asks([message], {number.pk: number}, now).values()

    def claim() -> None:
        with transaction.atomic():
            assert circuit.take_probe(hold, timezone.now())
            threading.Event().wait(0.5)
            limiter.confirm([wanted], micros(now))

    real = circuit.observe

    def observe(*args: object) -> None:
        threading.Event().wait(0.3)
        real(*args)

    monkeypatch.setattr(circuit, "observe", observe)
    deeds = [claim, lambda: dispatch.record([(message, failure)])]
    assert [e for e in at_once(2, lambda place: deeds[place]()) if isinstance(e, Exception)] == []


def test_a_person_who_is_just_reached_again_is_not_forgotten():
    now = micros(timezone.now())
    PortfolioReach.objects.create(portfolio_id="p", contact_id=1, last_at=now - DAY - 5)
    written = threading.Event()

    def renew() -> None:
        with transaction.atomic():
            portfolios = reach.Portfolios(now, {"p": 1}, {}, {"p": 250})
            portfolios.write([Ask(1, "o", 1, 1, 1, "p", 250)])
            written.set()
            threading.Event().wait(0.5)

    def forget() -> None:
        written.wait(5)
        usage.forget_old()

    deeds = [renew, forget]
    assert at_once(2, lambda place: deeds[place]()) == [None, None]
    assert list(PortfolioReach.objects.values_list("last_at", flat=True)) == [now]


def test_forgetting_goes_through_tables_of_many_pages(monkeypatch):
    monkeypatch.setattr(usage, "PAGES", 2)
    now = micros(timezone.now())
    PairUsage.objects.bulk_create(
        PairUsage(number_id=1, contact_id=n, free_at=now + (SECOND * 600 if n % 3 == 0 else -1))
        for n in range(3000)
    )
    assert usage.forget_old() == 2000
    assert PairUsage.objects.count() == 1000


def test_a_claim_stands_when_what_follows_it_fails(monkeypatch, caplog):
    number = PhoneNumberFactory()
    quota.change(number.org, 2, actor="user:1", reason="test")
    for _ in range(3):
        ConsentFactory(contact=MessageFactory(phone_number=number).contact)

    def cut_off(*_args: object) -> None:
        connection.connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    monkeypatch.setattr(limits, "hold_exhausted", cut_off)
    claim = claims.claim_due(10)
    assert len(claim.messages) == 2
    assert "did not follow" in caplog.text


def test_an_answer_that_is_recorded_twice_goes_back_once():
    messages = claimed(5)
    org = messages[0].org_id
    answers = [refused(message, "130429") for message in messages[:2]]
    for _ in range(2):
        dispatch.record(answers)
        row = WhatsAppRateLimit.objects.get(org=org)
        assert row.messages_sent == 3
        number = messages[0].phone_number
        number.refresh_from_db()
        assert number.rate_share == 500
