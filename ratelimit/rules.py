"""The limits as arithmetic: what is asked, what is answered, and the books both stores keep.

All times are whole microseconds since 1970, UTC, so that Python, Lua and both databases reach
the same figures.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SECOND = 1_000_000
DAY = 86_400 * SECOND

# Meta's pair limit: one message per 6 s to one person, 45 at most borrowed from the future. A
# quarter of a second more, because Meta counts arrivals: the first of a burst may take that
# much longer than the one that waits for its turn.
PAIR_STEP = 6 * SECOND + SECOND // 4
PAIR_BURST = 45
PAIR_DEBT = PAIR_STEP * (PAIR_BURST - 1)
# Start slots are given out this far ahead; a worker that dies takes no more than these along.
HORIZON = SECOND // 2
# A start slot is good for this long. Slots are evenly spaced, so a sliding second holds at most
# rate * (1 + 0.05) + 1 starts; a sender that comes later books again.
GRACE = SECOND // 20
# So much of it is kept for the time in which the shared clock is read.
CLOCK_SLACK = SECOND // 100
# A number that met its throughput at Meta goes at half its rate and gains a tenth a minute.
FULL_SHARE = 1000  # per mille of the configured rate
LEAST_SHARE = 20
RECOVERY_PER_MINUTE = 100
# A portfolio that has reached this share of its tier's people is warned of.
TIER_WARNING = 0.8
# A person held by the tier is looked at again no sooner and no later than this.
TIER_WAIT_LEAST = 300 * SECOND
TIER_WAIT_MOST = 3_600 * SECOND

# What lies further ahead than it ever can is rubbish: a first free start slot (the slowest gap
# is 50 s), when a pair's debt is paid (Meta may ask for a day's wait), and a throttle's end.
START_MOST = 120 * SECOND
PAIR_MOST = 2 * DAY
THROTTLE_MOST = 7 * DAY

LARGEST_QUOTA = 1_000_000_000


class Limit(enum.StrEnum):
    """Which limit holds a message."""

    THROTTLED = "THROTTLED"  # Meta throttles the whole organisation
    QUOTA = "QUOTA_EXCEEDED"  # the organisation has used up its window
    PAIR = "PAIR_LIMIT"  # too many messages from one number to one person
    CONTACTS = "CONTACT_LIMIT"  # the portfolio has reached as many people as its tier allows
    THROUGHPUT = "THROUGHPUT"  # the number's start slots are given out for now


class Ask(NamedTuple):
    """One message that would like to go."""

    org: int  # the organisation's primary key
    org_id: str  # its public id, for the names of the keys
    number: int  # the phone number's primary key
    gap: int  # between two starts of the number, from gap()
    contact: int = 0  # the person's primary key; 0: no pair limit
    portfolio: str = ""  # Meta's id of the business portfolio
    tier: int = 0  # unique people per 24 hours; 0: not limited or not counted


class Verdict(NamedTuple):
    """What became of one ask."""

    limit: Limit | None  # None: it may go
    at: int  # its start slot; held: when to look again
    window: int = 0  # the end of the quota window it was counted in


@dataclass(slots=True)
class Quota:
    """An organisation's quota, count and throttle, as both stores know them."""

    limit: int
    sent: int = 0
    reset: int = 0  # end of the window; 0: none has begun
    throttled: int = 0  # until when

    def has_room(self, now: int) -> bool:
        """Say whether one more message fits the quota."""
        return self.sent < self.limit or self.reset <= now

    def lets_go(self, now: int) -> bool:
        """Say whether neither quota nor throttle holds the organisation."""
        return self.throttled <= now and self.has_room(now)


@dataclass(slots=True)
class Books:
    """The usage a decision rests on and changes; the caller has locked and will write it."""

    window: int  # length of the quota window
    quotas: dict[int, Quota]
    slots: dict[int, int]  # by number: the first free start slot
    pairs: dict[tuple[int, int], int]  # by number and person: when the debt is paid
    reach: Callable[[Ask], int] | None = None  # until when the tier holds it; 0: it may go
    reached: list[Ask] = field(default_factory=list)  # let go; counts towards the tier
    soonest: int = 0  # no start slot is given before
    apart: int = 0  # how long the caller takes to begin one call
    let_go: int = 0

    def decide(self, asks: Sequence[Ask], now: int) -> list[Verdict]:
        """Answer the asks in their order, each knowing what those before it took."""
        self.soonest = max(now, self.soonest)
        held: dict[tuple[int, int], int] = {}
        return [self._decide(ask, now, held) for ask in asks]

    def _decide(self, ask: Ask, now: int, held: dict[tuple[int, int], int]) -> Verdict:
        org, _org_id, number, gap, contact, _portfolio, tier = ask
        quota = self.quotas[org]
        if quota.throttled > now:
            return Verdict(Limit.THROTTLED, quota.throttled)
        if quota.reset <= now:
            quota.sent, quota.reset = 0, 0
        if quota.sent >= quota.limit:
            return Verdict(Limit.QUOTA, quota.reset or now + self.window)
        slot = max(self.soonest + self.let_go * self.apart, self.slots.get(number, 0))
        pair = (number, contact)
        free_at = self.pairs.get(pair, 0) if contact else 0
        if free_at - slot > PAIR_DEBT:
            # Others of the same pair queue up behind, or they would all come back at once.
            place = held.get(pair, 0)
            held[pair] = place + 1
            return Verdict(Limit.PAIR, free_at - PAIR_DEBT + place * PAIR_STEP)
        if slot > self.soonest + HORIZON:
            return Verdict(Limit.THROUGHPUT, slot - HORIZON)
        if tier and self.reach is not None:
            until = self.reach(ask)
            if until:
                return Verdict(Limit.CONTACTS, until)
            self.reached.append(ask)
        if not quota.reset:
            quota.reset = now + self.window
        quota.sent += 1
        if contact:
            self.pairs[pair] = max(free_at, slot) + PAIR_STEP
        self.slots[number] = slot + gap
        self.let_go += 1
        return Verdict(None, slot, quota.reset)


def gap(rate: int, share: int = FULL_SHARE) -> int:
    """Return the time between two starts at so many messages per second, at a share per mille."""
    return -(-SECOND * FULL_SHARE // (max(1, rate) * max(1, share)))


def recovered(share: int, lowered_at: datetime | None, now: datetime) -> int:
    """Return the share, per mille, that a lowered number has reached by now."""
    if lowered_at is None or share >= FULL_SHARE:
        return FULL_SHARE
    minutes = max(0, int((now - lowered_at).total_seconds() // 60))
    return min(FULL_SHARE, share + RECOVERY_PER_MINUTE * minutes)


def micros(at: datetime | None) -> int:
    """Return the time as microseconds; 0 for none."""
    return 0 if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """Return the microseconds as a time, aware UTC."""
    return _EPOCH + timedelta(microseconds=at)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
