"""Counting in rows of the database, under the lock of the organisation's row.

It has the last word: every claim asks it in its own transaction, so what is counted and what
is claimed are committed together, whatever Redis said before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.conf import settings

from ratelimit import reach
from ratelimit.rules import SECOND, Ask, Books, Verdict
from ratelimit.stores import rows


def decide(asks: Sequence[Ask], now: int, soonest: int = 0, apart: int = 0) -> list[Verdict]:
    """Answer the asks and count those that may go; needs a transaction.

    No start slot comes before ``soonest``, when the caller will be ready to use it, and no two
    of different numbers closer than ``apart``, the time it takes to begin a call. How many
    statements it takes does not depend on how many asks there are.
    """
    if not asks:
        return []
    portfolios = reach.load(asks, now)
    usage = rows.load(
        {ask.org for ask in asks},
        {ask.number for ask in asks},
        {(ask.number, ask.contact) for ask in asks if ask.contact},
    )
    books = Books(
        window=settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND,
        quotas=usage.quotas,
        slots=usage.slots,
        pairs=usage.debts,
        reach=portfolios.held_until if portfolios else None,
        soonest=soonest,
        apart=apart,
    )
    verdicts = books.decide(asks, now)
    gone = [ask for ask, verdict in zip(asks, verdicts, strict=True) if verdict.limit is None]
    if gone:
        rows.write(
            {org: books.quotas[org] for org in {ask.org for ask in gone}},
            {number: books.slots[number] for number in {ask.number for ask in gone}},
            {
                pair: books.pairs[pair]
                for pair in {(ask.number, ask.contact) for ask in gone if ask.contact}
            },
        )
    if portfolios:
        portfolios.write(books.reached)
    return verdicts


def give_back(used: Sequence[tuple[int, int]]) -> set[int]:
    """Return quota that was not used: organisation and window of each message.

    A count goes back to the window it was taken from and to no later one. Returns the
    organisations whose quota was used up and is not any more. Needs a transaction.
    """
    quotas = rows.lock({org for org, _window in used})
    full = {org for org, quota in quotas.items() if quota.sent >= quota.limit}
    for org, window in used:
        quota = quotas[org]
        if quota.reset == window and quota.sent > 0:
            quota.sent -= 1
    rows.write(quotas)
    return {org for org in full if quotas[org].sent < quotas[org].limit}


def book_starts(
    org: int, number: int, gap: int, missed: Sequence[tuple[int, int]], soonest: int
) -> list[int]:
    """Return new start slots of a number for calls that missed theirs; needs a transaction.

    ``missed`` holds the person and the lost slot of each. As they go later, what their pairs
    owe is paid back later too.
    """
    usage = rows.load({org}, {number}, {(number, contact) for contact, _slot in missed})
    first = max(soonest, usage.slots.get(number, 0))
    slots = [first + place * gap for place in range(len(missed))]
    delays: dict[rows.Pair, int] = {}
    for (contact, lost), slot in zip(missed, slots, strict=True):
        pair = (number, contact)
        delays[pair] = max(delays.get(pair, 0), slot - lost)
    debts = {pair: at + delays[pair] for pair, at in usage.debts.items()}
    rows.write({}, {number: slots[-1] + gap}, debts)
    return slots


def hold_pairs(orgs: Collection[int], debts: Mapping[rows.Pair, int]) -> None:
    """Raise the debts of pairs to what the provider's refusals tell; needs a transaction."""
    if not debts:
        return
    rows.lock(orgs)
    known = rows.debts(debts.keys())
    rows.write({}, debts={pair: max(known.get(pair, 0), debt) for pair, debt in debts.items()})
