"""Who may not be reachable: people whose messages came back undeliverable, several in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from consent.models import Contact
from orgs import database

# Meta's 131026 is a catch-all and now and then wrong: nobody is suspected at the first.
SUSPECT_AFTER = 3
# Suspects are found by the index of those who have any failure at all.
SUSPECT = Q(undeliverable_count__gt=0, suspect_at__isnull=False)


class Sign(NamedTuple):
    """What became of one message to a person."""

    contact_id: int
    reached: bool  # delivered or read; else undeliverable


def follow(signs: Iterable[Sign], now: datetime) -> None:
    """Count what could not be delivered to each person since they were last reached.

    The signs are taken in their order; by two statements at most, whatever their number. In a
    transaction, after messages are locked.
    """
    failures: Counter[int] = Counter()
    reached: set[int] = set()
    for sign in signs:
        if sign.reached:
            reached.add(sign.contact_id)
            del failures[sign.contact_id]
        else:
            failures[sign.contact_id] += 1
    wanted = Q(pk__among=reached, undeliverable_count__gt=0) if reached else Q()
    if failures:
        wanted |= Q(pk__among=set(failures))
    if not wanted:
        return
    people = Contact.objects.select_for_update(no_key=True).filter(wanted, erased_at=None)
    database.update_rows(
        Contact,
        [
            _judged(pk, failures[pk] + (0 if pk in reached else count), since or now)
            | {"updated_at": now}
            for pk, count, since in people.order_by("pk").values_list(
                "pk", "undeliverable_count", "suspect_at"
            )
        ],
    )


def _judged(pk: int, count: int, since: datetime) -> dict[str, object]:
    """Return what stands on a contact of whom so many messages came back: the one rule."""
    return {
        "pk": pk,
        "undeliverable_count": count,
        "suspect_at": since if count >= SUSPECT_AFTER else None,
    }
