"""The limiter's front: Redis refuses early while it is there, the database has the last word."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from orgs import database as clock
from ratelimit import metrics
from ratelimit.breaker import Breaker
from ratelimit.models import Hold
from ratelimit.rules import Ask, Limit, Quota, Verdict, micros
from ratelimit.stores import database, rows
from ratelimit.stores.redis import RedisStore, UnusableError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_PROBE_KEY = "whatsapp:ratelimit:probe"

# After a failed call Redis is left alone for this long, seconds.
REST_SECONDS = 5.0
# Refusals that hold an organisation as a whole.
_STOP_ALL = frozenset({Limit.QUOTA, Limit.THROTTLED})
_FAULTS = (RedisError, OSError, UnusableError)


@dataclass(frozen=True, slots=True)
class Used:
    """What a message took when it was let go."""

    ask: Ask
    window: int


@dataclass(slots=True)
class Front:
    """The Redis store with its breaker; one for a process."""

    store: RedisStore
    client: Redis
    seconds: float  # what Redis may take for one deed
    breaker: Breaker = field(default_factory=lambda: Breaker(REST_SECONDS))
    # Organisations whose counts were taken from the database since Redis was last away: what
    # it kept over an outage is older than what the database counted meanwhile.
    current: set[int] = field(default_factory=set)

    def call(self, deed: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
        """Do it in Redis; None when Redis is, or has been a moment ago, away or too slow."""
        if not self.breaker.may_try():
            return None
        try:
            self.store.begin(self.seconds)
            result = deed(*given, **named)
        except _FAULTS as error:
            self.current.clear()
            if self.breaker.failed():
                logger.warning("Redis away (%s): the database counts alone", type(error).__name__)
            return None
        if self.breaker.succeeded():
            logger.info("Redis is back")
        return result

    def catch_up(self, asks: Sequence[Ask], now: int) -> None:
        """Take the counts of organisations not met since the last outage from the database."""
        strangers = {ask.org: ask.org_id for ask in asks if ask.org not in self.current}
        if not strangers:
            return
        self.rewrite(strangers, now)
        self.current |= strangers.keys()

    def rewrite(self, orgs: dict[int, str], now: int) -> dict[int, Quota]:
        """Overwrite the counts of organisations by what the database says; return that."""
        quotas = rows.read(orgs)
        for org, org_id in orgs.items():
            self.store.seed(org_id, quotas[org], now, overwrite=True)
        return quotas


def screen(asks: Sequence[Ask], now: int) -> list[Verdict] | None:
    """Answer the asks early, in Redis; None when there is none to ask.

    What may go is counted in Redis and must be confirmed, or given back by ``return_unused``.
    Call it outside a transaction.
    """
    front = _front()
    if front is None or not asks:
        return None
    begun = monotonic()
    verdicts = front.call(_screen, front, asks, now)
    if verdicts is not None:
        metrics.count("redis", verdicts, begun)
    return verdicts


def is_worth_asking() -> bool:
    """Say whether Redis can be expected to answer; an expectation, which ``screen`` tests."""
    front = _front()
    return front is not None and front.breaker.is_ready


def confirm(asks: Sequence[Ask], now: int, soonest: int = 0, apart: int = 0) -> list[Verdict]:
    """Answer the asks for good and count what may go, in the caller's transaction.

    No start slot comes before ``soonest``; the caller takes ``apart`` to begin each call.
    """
    begun = monotonic()
    verdicts = database.decide(asks, now, soonest, apart)
    metrics.count("database", verdicts, begun)
    return verdicts


def return_unused(unused: Sequence[Used]) -> None:
    """Return to Redis what it had let go and was never confirmed."""
    front = _front()
    if front is not None and unused:
        front.call(front.store.give_back, [(used.ask, used.window) for used in unused])


def correct(asks: Sequence[Ask], now: int) -> None:
    """Have Redis take over what the database knows, where the two disagreed on these asks."""
    front = _front()
    if front is None or not asks:
        return
    orgs = {ask.org: ask.org_id for ask in asks}

    def rewrite() -> None:
        front.rewrite(orgs, now)
        for org, org_id in orgs.items():
            mine = {(ask.number, ask.contact) for ask in asks if ask.org == org and ask.contact}
            front.store.set_debts(org_id, dict.fromkeys(mine, 0) | rows.debts(mine), now)

    front.call(rewrite)


def follow_starts(starts: Mapping[tuple[str, int], int], now: int) -> None:
    """Have Redis follow the start slots that the database gave out otherwise than it thought."""
    front = _front()
    if front is not None and starts:
        front.call(front.store.set_starts, starts, now)


def give_back(unused: Sequence[Used]) -> None:
    """Return to both stores what messages took that never reached the provider.

    Only the quota goes back: start slots have passed, and what a pair has borrowed pays itself
    back. An answer comes up to half a minute later, and taking a step off the debt by then would
    let go what Meta refuses. Needs a transaction.
    """
    if not unused:
        return
    release_quota_holds(database.give_back([(used.ask.org, used.window) for used in unused]))
    counts = [replace(used, ask=used.ask._replace(contact=0)) for used in unused]
    transaction.on_commit(lambda: return_unused(counts), robust=True)


def release_quota_holds(orgs: Iterable[int]) -> None:
    """Let messages go that waited for the quota of these organisations."""
    held = list(orgs)
    if held:
        Hold.objects.filter(
            scope=Hold.Scope.ORGANIZATION, cause=Hold.Cause.QUOTA_EXCEEDED, org_id__in=held
        ).delete()


def changed(org: int, org_id: str) -> None:
    """Have Redis follow a change of an organisation's row once it is committed."""
    front = _front()
    if front is None:
        return

    def follow() -> None:
        front.call(lambda: front.rewrite({org: org_id}, micros(clock.now())))

    transaction.on_commit(follow, robust=True)


def redis_state() -> str:
    """Return ``ok``, ``down`` or, in an installation without it, ``not used``."""
    front = _front()
    if front is None:
        return "not used"
    # It must take a write: one that is full, or only a replica, answers a PING just the same.
    return "ok" if front.call(front.client.set, _PROBE_KEY, 1, px=60_000) else "down"


def reset() -> None:
    """Forget the connection and what was learned of Redis, as when its address changes."""
    for front in _fronts.values():
        front.client.close()
    _fronts.clear()


_fronts: dict[str, Front] = {}


def _front() -> Front | None:
    url = settings.REDIS_URL
    front = _fronts.get(url)
    if front is None and url:
        seconds = settings.OUTBOUND_REDIS_TIMEOUT_SECONDS
        client = Redis.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),  # the breaker decides when to try again
        )
        front = _fronts.setdefault(url, Front(RedisStore(client, rows.read), client, seconds))
    return front


def _screen(front: Front, asks: Sequence[Ask], now: int) -> list[Verdict]:
    front.catch_up(asks, now)
    verdicts = front.store.decide(asks, now)
    refused = [place for place, verdict in enumerate(verdicts) if verdict.limit in _STOP_ALL]
    if refused:
        # It stops a whole organisation, perhaps for a day: that is worth a look at the truth.
        orgs = {asks[place].org: asks[place].org_id for place in refused}
        quotas = front.rewrite(orgs, now)
        again = [place for place in refused if quotas[asks[place].org].lets_go(now)]
        fresh = front.store.decide([asks[place] for place in again], now) if again else []
        for place, verdict in zip(again, fresh, strict=True):
            verdicts[place] = verdict
    return verdicts
