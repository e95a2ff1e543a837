"""The rows of the database store: reading them under the lock, and writing them together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.db import connection

from orgs import database
from ratelimit.models import NumberUsage, PairUsage, WhatsAppRateLimit
from ratelimit.rules import Quota, micros, moment

Pair = tuple[int, int]  # number, person


@dataclass(slots=True)
class Usage:
    """What is counted of some organisations, numbers and pairs."""

    quotas: dict[int, Quota]
    slots: dict[int, int]  # by number: the first free start slot
    debts: dict[Pair, int]  # when each is paid


def load(orgs: Collection[int], numbers: Collection[int], pairs: Collection[Pair]) -> Usage:
    """Lock the organisations' rows, then read the usage they guard."""
    if connection.vendor != "postgresql":
        return Usage(lock(orgs), slots(numbers), debts(pairs))
    with connection.cursor() as cursor:
        # One journey, but three statements: what the others read must be as it is once the
        # lock is held, and each statement sees what was committed before it began.
        cursor.execute(_LOAD_WITH_PAIRS if pairs else _LOAD, _wanted(orgs, numbers, pairs))
        quotas = _as_quotas(cursor.fetchall())
        cursor.nextset()
        found = Usage(quotas, dict(cursor.fetchall()), {})
        if pairs:
            cursor.nextset()
            found.debts = {(number, contact): at for number, contact, at in cursor.fetchall()}
    if len(found.quotas) < len(orgs):
        # The first time for one of them: nothing is counted of it yet, and there was no lock.
        lock(orgs)
        return load(orgs, numbers, pairs)
    return found


def lock(orgs: Collection[int]) -> dict[int, Quota]:
    """Return the quotas, their rows locked in order; missing rows are made.

    The lock guards the usage of the organisations' numbers and pairs too: nobody else reads
    or writes these rows.
    """
    quotas = _quotas(orgs, lock=True)
    missing = set(orgs) - quotas.keys()
    if missing:
        WhatsAppRateLimit.objects.bulk_create(
            [WhatsAppRateLimit(org_id=org) for org in sorted(missing)], ignore_conflicts=True
        )
        quotas = _quotas(orgs, lock=True)
    return quotas


def read(orgs: Collection[int]) -> dict[int, Quota]:
    """Return the quotas as they are committed, without a lock; those without a row are fresh."""
    fresh = {org: Quota(settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA) for org in orgs}
    return fresh | _quotas(orgs, lock=False)


def slots(numbers: Collection[int]) -> dict[int, int]:
    """Return the first free start slot of each number that has one."""
    places = ", ".join(["%s"] * len(numbers))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT number_id, free_at FROM ratelimit_number WHERE number_id IN ({places})",  # noqa: S608 - placeholders
            list(numbers),
        )
        return dict(cursor.fetchall())


def debts(pairs: Collection[Pair]) -> dict[Pair, int]:
    """Return when the debts of the pairs are paid, for those that have one."""
    return database.select_pairs(PairUsage, ("number_id", "contact_id", "free_at"), list(pairs))


def write(
    quotas: Mapping[int, Quota],
    slots: Mapping[int, int] | None = None,
    debts: Mapping[Pair, int] | None = None,
) -> None:
    """Write what has changed; on PostgreSQL by one statement."""
    pairs = sorted((debts or {}).items())
    if connection.vendor == "postgresql":
        wanted = [(_QUOTAS, quotas), (_SLOTS, slots), (_PAIRS, pairs)]
        parts = [part for part, fresh in wanted if fresh]
        if parts:
            database.run_planned(_together(*parts), _arrays(quotas, slots or {}, pairs))
        return
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
    numbers = [{"number_id": pk, "free_at": free_at} for pk, free_at in (slots or {}).items()]
    database.upsert_rows(NumberUsage, numbers, key=["number_id"])
    database.upsert_rows(
        PairUsage,
        [
            {"number_id": number, "contact_id": contact, "free_at": free_at}
            for (number, contact), free_at in pairs
        ],
        key=["number_id", "contact_id"],
    )


def _quotas(orgs: Collection[int], *, lock: bool) -> dict[int, Quota]:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_LOCK if lock else _READ, {"orgs": database.array(orgs)})
            return _as_quotas(cursor.fetchall())
    # Its transaction is the only writer: there is nothing to lock.
    found = WhatsAppRateLimit.objects.filter(org__in=orgs).values_list(
        "org_id", "quota_limit", "messages_sent", "reset_at", "throttled_until"
    )
    return _as_quotas(
        (org, limit, sent, micros(reset), micros(throttled))
        for org, limit, sent, reset, throttled in found
    )


def _as_quotas(found: Iterable[tuple[int, int | None, int, int, int]]) -> dict[int, Quota]:
    default = settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA
    return {
        org: Quota(limit or default, sent, reset, throttled)
        for org, limit, sent, reset, throttled in found
    }


def _wanted(
    orgs: Collection[int], numbers: Collection[int], pairs: Collection[Pair]
) -> dict[str, str]:
    return {
        "orgs": database.array(orgs),
        "numbers": database.array(numbers),
        "senders": database.array(number for number, _contact in pairs),
        "contacts": database.array(contact for _number, contact in pairs),
    }


def _arrays(
    quotas: Mapping[int, Quota], slots: Mapping[int, int], pairs: list[tuple[Pair, int]]
) -> dict[str, str]:
    return {
        "orgs": database.array(quotas),
        "sent": database.array(quota.sent for quota in quotas.values()),
        "ends": database.array(quota.reset for quota in quotas.values()),
        "numbers": database.array(slots),
        "slots": database.array(slots.values()),
        "senders": database.array(number for (number, _contact), _free_at in pairs),
        "contacts": database.array(contact for (_number, contact), _free_at in pairs),
        "debts": database.array(free_at for _pair, free_at in pairs),
    }


@cache
def _together(*parts: str) -> str:
    """Return one statement that does all the parts."""
    *others, last = parts
    named = ", ".join(f"part_{place} AS ({part})" for place, part in enumerate(others))
    return f"WITH {named} {last}" if others else last


_READ = """
SELECT org_id, quota_limit, messages_sent,
    coalesce((extract(epoch FROM reset_at) * 1000000)::bigint, 0),
    coalesce((extract(epoch FROM throttled_until) * 1000000)::bigint, 0)
FROM whatsapp_rate_limit WHERE org_id = ANY (%(orgs)s::bigint[]) ORDER BY org_id
"""
_LOCK = f"{_READ} FOR UPDATE"
_LOAD = f"""{_LOCK};
SELECT number_id, free_at FROM ratelimit_number WHERE number_id = ANY (%(numbers)s::bigint[])
"""  # noqa: S608 - constants
_LOAD_WITH_PAIRS = f"""{_LOAD};
SELECT number_id, contact_id, free_at FROM ratelimit_pair WHERE (number_id, contact_id) IN
    (SELECT * FROM unnest(%(senders)s::bigint[], %(contacts)s::bigint[]))
"""  # noqa: S608 - constants
_QUOTAS = """
UPDATE whatsapp_rate_limit AS kept
SET messages_sent = fresh.sent, reset_at = CASE WHEN fresh.ends > 0
    THEN 'epoch'::timestamptz + fresh.ends * interval '1 microsecond' END
FROM unnest(%(orgs)s::bigint[], %(sent)s::bigint[], %(ends)s::bigint[])
    AS fresh (org_id, sent, ends)
WHERE kept.org_id = fresh.org_id
"""
_SLOTS = """
INSERT INTO ratelimit_number (number_id, free_at)
SELECT * FROM unnest(%(numbers)s::bigint[], %(slots)s::bigint[])
ON CONFLICT (number_id) DO UPDATE SET free_at = excluded.free_at
"""
# The rows are in the order of the keys: two statements never wait for each other in a circle.
_PAIRS = """
INSERT INTO ratelimit_pair (number_id, contact_id, free_at)
SELECT * FROM unnest(%(senders)s::bigint[], %(contacts)s::bigint[], %(debts)s::bigint[])
ON CONFLICT (number_id, contact_id) DO UPDATE SET free_at = excluded.free_at
"""
