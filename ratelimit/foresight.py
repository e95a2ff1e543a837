"""What the limits would say now: asked by the same rules, with nothing locked, counted or kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.conf import settings

from ratelimit import reach
from ratelimit.reach import Portfolios
from ratelimit.rules import (
    DAY,
    HORIZON,
    PAIR_BURST,
    PAIR_STEP,
    SECOND,
    Ask,
    Books,
    Limit,
    Quota,
)
from ratelimit.stores import rows

_ROOM = Quota(limit=1)  # holds nothing


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one limit would say if it alone were asked, and the figures that rests on."""

    limit: Limit
    held_until: int  # microseconds; 0: it lets the message go
    used: int = 0
    most: int = 0  # 0: there is no such limit
    clears_at: int = 0  # when what is used counts no more; 0: nothing is used


def foresee(ask: Ask, now: int) -> list[Outlook]:
    """Return what the database would answer of each limit, in the order in which it asks them.

    A claim is refused by the first that holds and hears nothing of the others; here each
    answers as if the others held nothing. The claim asks them again, and then for good.
    """
    quota = rows.read([ask.org])[ask.org]
    slots = rows.slots([ask.number])
    return [
        Outlook(Limit.THROTTLED, _held(ask, now, quota=replace(_ROOM, throttled=quota.throttled))),
        _quota(ask, now, replace(quota, throttled=0)),
        _pair(ask, now, slots),
        _throughput(ask, now, slots),
        _contacts(ask, now),
    ]


def _held(
    ask: Ask,
    now: int,
    *,
    quota: Quota = _ROOM,
    slots: Mapping[int, int] | None = None,
    pairs: Mapping[tuple[int, int], int] | None = None,
    portfolios: Portfolios | None = None,
    limit: Limit | None = None,
) -> int:
    """Return until when a message is held by books with these entries only; 0: it is not.

    With ``limit`` only that one counts, of those that need the same entries.
    """
    books = Books(
        window=settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND,
        quotas={ask.org: replace(quota)},
        slots=dict(slots or {}),
        pairs=dict(pairs or {}),
        reach=portfolios.held_until if portfolios else None,
    )
    (verdict,) = books.decide([ask], now)
    is_held = verdict.limit is not None and limit in {None, verdict.limit}
    return verdict.at if is_held else 0


def _quota(ask: Ask, now: int, quota: Quota) -> Outlook:
    is_open = quota.reset > now
    return Outlook(
        Limit.QUOTA,
        _held(ask, now, quota=quota),
        used=quota.sent if is_open else 0,
        most=quota.limit,
        clears_at=quota.reset if is_open else 0,
    )


def _pair(ask: Ask, now: int, slots: Mapping[int, int]) -> Outlook:
    pair = (ask.number, ask.contact)
    debts = rows.debts([pair])
    debt = max(0, debts.get(pair, 0) - now)
    return Outlook(
        Limit.PAIR,
        _held(ask, now, slots=slots, pairs=debts, limit=Limit.PAIR),
        used=-(-debt // PAIR_STEP),
        most=PAIR_BURST,
        clears_at=now + debt if debt else 0,
    )


def _throughput(ask: Ask, now: int, slots: Mapping[int, int]) -> Outlook:
    ahead = max(0, slots.get(ask.number, 0) - now)
    return Outlook(
        Limit.THROUGHPUT,
        _held(ask, now, slots=slots),
        used=-(-ahead // ask.gap),
        most=HORIZON // ask.gap + 1,
        clears_at=now + ahead if ahead else 0,
    )


def _contacts(ask: Ask, now: int) -> Outlook:
    portfolios = reach.look([ask], now)
    if portfolios is None:
        return Outlook(Limit.CONTACTS, 0)
    held_until = _held(ask, now, portfolios=portfolios)
    count, oldest = reach.count_reached(ask.portfolio, now)
    return Outlook(
        Limit.CONTACTS,
        held_until,
        used=count,
        most=ask.tier,
        clears_at=oldest + DAY if oldest is not None else 0,
    )
