"""Counting in rows of the database, under the lock of the organisation's row.

It has the last word: every claim asks it in its own transaction, so what is counted and what
is claimed are committed together, whatever Redis said before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.conf import settings

from orgs import database
from ratelimit import reach
from ratelimit.models import NumberUsage, PairUsage, WhatsAppRateLimit
from ratelimit.rules import PAIR_STEP, SECOND, Ask, Books, Quota, Verdict, micros, moment


def decide(asks: Sequence[Ask], now: int) -> list[Verdict]:
    """Answer the asks and count those that may go; needs a transaction.

    The statements are seven at most, however many asks there are; two more for portfolios
    with a tier, and three when one of them is near it.
    """
    if not asks:
        return []
    portfolios = reach.load(asks, now)
    books = Books(
        window=settings.WHATSAPP_RATE_LIMIT_WINDOW_SECONDS * SECOND,
        quotas=lock(sorted({ask.org for ask in asks})),
        slots=_slots({ask.number for ask in asks}),
        pairs=_pairs({(ask.number, ask.contact) for ask in asks if ask.contact}),
        reach=portfolios.held_until if portfolios else None,
    )
    verdicts = books.decide(asks, now)
    gone = [ask for ask, verdict in zip(asks, verdicts, strict=True) if verdict.limit is None]
    if gone:
        _write(books, gone)
    if portfolios:
        portfolios.write(books.reached)
    return verdicts


def lock(orgs: Collection[int]) -> dict[int, Quota]:
    """Return the quotas, their rows locked in order; missing rows are made."""
    quotas = _read(orgs, lock=True)
    missing = set(orgs) - quotas.keys()
    if missing:
        WhatsAppRateLimit.objects.bulk_create(
            [WhatsAppRateLimit(org_id=org) for org in sorted(missing)], ignore_conflicts=True
        )
        quotas = _read(orgs, lock=True)
    return quotas


def read(orgs: Collection[int]) -> dict[int, Quota]:
    """Return the quotas as they are committed, without a lock; those without a row are fresh."""
    fresh = {org: Quota(settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA) for org in orgs}
    return fresh | _read(orgs, lock=False)


def debts(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return when the debts of these pairs are paid, for those that have one."""
    return _pairs(set(pairs))


def give_back(used: Sequence[tuple[int, int, int, int]]) -> set[int]:
    """Return capacity that was not used: organisation, window, number and contact of each.

    A count goes back to the window it was taken from and to no later one. Start slots pass by
    unused. Returns the organisations whose quota was used up and is not any more. Needs a
    transaction; four statements.
    """
    quotas = lock(sorted({org for org, *_ in used}))
    full = {org for org, quota in quotas.items() if quota.sent >= quota.limit}
    pairs = _pairs({(number, contact) for _org, _window, number, contact in used if contact})
    for org, window, number, contact in used:
        quota = quotas[org]
        if quota.reset == window and quota.sent > 0:
            quota.sent -= 1
        if (number, contact) in pairs:
            pairs[number, contact] -= PAIR_STEP
    _write_quotas({org: quotas[org] for org, *_ in used})
    _write_pairs(pairs)
    return {org for org in full if quotas[org].sent < quotas[org].limit}


def book_starts(org: int, number: int, gap: int, count: int, soonest: int) -> list[int]:
    """Return so many start slots of a number, however far ahead; needs a transaction."""
    lock([org])
    first = max(soonest, _slots({number}).get(number, 0))
    slots = [first + place * gap for place in range(count)]
    _write_slots({number: slots[-1] + gap})
    return slots


def hold_pair(org: int, number: int, contact: int, debt_until: int) -> None:
    """Raise the debt of a pair to what the provider's refusal tells; needs a transaction."""
    lock([org])
    known = _pairs({(number, contact)}).get((number, contact), 0)
    _write_pairs({(number, contact): max(known, debt_until)})


def _read(orgs: Collection[int], *, lock: bool) -> dict[int, Quota]:
    rows = WhatsAppRateLimit.objects.filter(org__among=orgs).order_by("org")
    if lock:
        rows = rows.select_for_update()
    default = settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA
    return {
        org: Quota(limit or default, sent, micros(reset), micros(throttled))
        for org, limit, sent, reset, throttled in rows.values_list(
            "org_id", "quota_limit", "messages_sent", "reset_at", "throttled_until"
        )
    }


def _slots(numbers: Collection[int]) -> dict[int, int]:
    rows = NumberUsage.objects.filter(pk__among=numbers)
    return dict(rows.values_list("number_id", "free_at"))


def _pairs(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    return database.select_pairs(PairUsage, ("number_id", "contact_id", "free_at"), list(pairs))


def _write(books: Books, gone: Sequence[Ask]) -> None:
    _write_quotas({org: books.quotas[org] for org in {ask.org for ask in gone}})
    _write_slots({number: books.slots[number] for number in {ask.number for ask in gone}})
    touched = {(ask.number, ask.contact) for ask in gone if ask.contact}
    _write_pairs({pair: books.pairs[pair] for pair in touched})


def _write_quotas(quotas: dict[int, Quota]) -> None:
    database.update_rows(
        WhatsAppRateLimit,
        [
            {
                "org_id": org,
                "messages_sent": quota.sent,
                "reset_at": moment(quota.reset) if quota.reset else None,
            }
            for org, quota in quotas.items()
        ],
        key="org_id",
    )


def _write_slots(slots: dict[int, int]) -> None:
    rows = [{"number_id": number, "free_at": free_at} for number, free_at in slots.items()]
    database.upsert_rows(NumberUsage, rows, key=["number_id"])


def _write_pairs(pairs: dict[tuple[int, int], int]) -> None:
    rows = [
        {"number_id": number, "contact_id": contact, "free_at": free_at}
        for (number, contact), free_at in sorted(pairs.items())
    ]
    database.upsert_rows(PairUsage, rows, key=["number_id", "contact_id"])
