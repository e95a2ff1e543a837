"""Both stores behind one face, and a model of the limits that is simple enough to believe."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings
from django.db import transaction
from redis import Redis

from orgs.models import Organization
from ratelimit.limiter import Used
from ratelimit.models import WhatsAppRateLimit
from ratelimit.rules import SECOND, Ask, Limit, Quota, Verdict, moment
from ratelimit.stores import database
from ratelimit.stores.redis import RedisStore

# A moment to count from; whole seconds make failures easy to read.
START = 1_800_000_000 * SECOND
# Meta's six seconds and a margin.
PAIR_SECONDS = 6.25


class Side(Protocol):
    def decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]: ...

    def give_back(self, used: Sequence[Used]) -> None: ...

    def set_quota(self, org: Organization, limit: int) -> None: ...

    def throttle(self, org: Organization, until: int, now: int) -> None: ...


class DatabaseSide:
    def decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]:
        with transaction.atomic():
            return database.decide(asks, now)

    def give_back(self, used: Sequence[Used]) -> None:
        with transaction.atomic():
            database.give_back([(one.ask.org, one.window) for one in used])

    def set_quota(self, org: Organization, limit: int) -> None:
        WhatsAppRateLimit.objects.update_or_create(org=org, defaults={"quota_limit": limit})

    def throttle(self, org: Organization, until: int, now: int) -> None:
        row, _ = WhatsAppRateLimit.objects.get_or_create(org=org)
        row.throttled_until = moment(until)
        row.save()


class RedisSide:
    """Redis by itself: it takes nothing from the database but quotas set beforehand."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.quotas: dict[int, Quota] = {}
        self.store = RedisStore(client, self._load)

    def decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]:
        return self.store.decide(asks, now)

    def give_back(self, used: Sequence[Used]) -> None:
        # Pairs pay back by themselves, in both stores.
        self.store.give_back([(one.ask._replace(contact=0), one.window) for one in used])

    def set_quota(self, org: Organization, limit: int) -> None:
        self.quotas[org.pk] = Quota(limit)
        if self.client.exists(self._key("limit", org)):
            self.client.set(self._key("limit", org), limit, keepttl=True)

    def throttle(self, org: Organization, until: int, now: int) -> None:
        """Tell Redis of it as a change in the database does, its own counts being the truth."""
        known = [self.client.get(self._key(what, org)) for what in ("counter", "window")]
        sent, reset = (int(value or 0) for value in known)
        quota = Quota(self._load([org.pk])[org.pk].limit, sent, reset, until)
        self.store.seed(org.org_id, quota, now, overwrite=True)

    @staticmethod
    def _key(what: str, org: Organization) -> str:
        return f"whatsapp:ratelimit:{what}:{{{org.org_id}}}"

    def _load(self, orgs: Collection[int]) -> Mapping[int, Quota]:
        fresh = settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA
        return {org: self.quotas.setdefault(org, Quota(fresh)) for org in orgs}


@dataclass(slots=True)
class Model:
    """Every grant ever made, looked through from the beginning for each question."""

    window: int
    limits: dict[int, int]
    opened: dict[int, int] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=dict)
    starts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # slot, gap
    sends: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # of each pair
    throttled: dict[int, int] = field(default_factory=dict)

    def decide(self, asks: Sequence[Ask], now: int) -> list[Limit | None]:
        return [self._decide(ask, now) for ask in asks]

    def give_back(self, used: Sequence[Used]) -> None:
        for one in used:
            org = one.ask.org
            if org in self.opened and self.opened[org] + self.window == one.window:
                self.counted[org] = max(0, self.counted[org] - 1)

    def _decide(self, ask: Ask, now: int) -> Limit | None:
        if self.throttled.get(ask.org, 0) > now:
            return Limit.THROTTLED
        if ask.org in self.opened and now >= self.opened[ask.org] + self.window:
            del self.opened[ask.org], self.counted[ask.org]
        if self.counted.get(ask.org, 0) >= self.limits[ask.org]:
            return Limit.QUOTA
        slot = max([now] + [at + gap for at, gap in self.starts.get(ask.number, [])])
        if ask.contact and self._owed(ask, slot) > 44 * PAIR_SECONDS * SECOND:
            return Limit.PAIR
        if slot - now > SECOND // 2:
            return Limit.THROUGHPUT
        self.opened.setdefault(ask.org, now)
        self.counted[ask.org] = self.counted.get(ask.org, 0) + 1
        self.starts.setdefault(ask.number, []).append((slot, ask.gap))
        if ask.contact:
            self.sends.setdefault((ask.number, ask.contact), []).append(slot)
        return None

    def _owed(self, ask: Ask, now: int) -> int:
        step = int(PAIR_SECONDS * SECOND)
        paid_at = 0
        for at in self.sends.get((ask.number, ask.contact), []):
            paid_at = max(paid_at, at) + step
        return paid_at - now
