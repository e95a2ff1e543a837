"""The customer service window: free-form messages may go for 24 hours after a person wrote."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable

from messaging.models import PhoneNumber, ServiceWindow
from messaging.providers.base import Inbound
from messaging.providers.whatsapp.content import TEMPLATE
from orgs import database

# Meta closes the window 24 hours after the person's last message; five minutes are kept back,
# since a message that arrives late is accepted and then fails (131047).
OPEN_FOR = timedelta(hours=23, minutes=55)

# Meta says that a message opens the window; these are not messages in that sense.
_OPENS_NOTHING = frozenset({"reaction", "system", "unsupported"})

Pair = tuple[int, int]  # phone number pk, contact pk
Written = tuple[Inbound, PhoneNumber, int]  # with the contact who wrote it


def needs_window(kind: str) -> bool:
    """Say whether messages of this kind may only go inside the window."""
    return kind != TEMPLATE


def open_pairs(pairs: Iterable[Pair], at: datetime) -> set[Pair]:
    """Return the pairs whose window is open, by one query."""
    wanted = set(pairs)
    if not wanted:
        return set()
    found = open_at(at).filter(
        phone_number_id__in={number for number, _contact in wanted},
        contact_id__in={contact for _number, contact in wanted},
    )
    return wanted & set(found)


def open_at(at: datetime | Combinable) -> QuerySet[ServiceWindow, Pair]:
    """Return the pairs whose window is open at that moment: the one rule of the window.

    Statements that ask for the window embed this query, with the database's clock as ``at``.
    """
    return ServiceWindow.objects.filter(last_inbound_at__gt=at - OPEN_FOR).values_list(
        "phone_number_id", "contact_id"
    )


def closes_at(pair: Pair) -> datetime | None:
    """Return when the pair's window closes, or has closed; None when the person never wrote."""
    number, contact = pair
    last = ServiceWindow.objects.filter(phone_number=number, contact=contact).first()
    return last.last_inbound_at + OPEN_FOR if last is not None else None


def keeps_out(at: datetime | Combinable) -> Q:
    """Return the condition on messages that need the window while theirs is closed."""
    theirs = open_at(at).filter(
        phone_number_id=OuterRef("phone_number_id"), contact_id=OuterRef("contact_id")
    )
    return ~Q(kind=TEMPLATE) & ~Q(Exists(theirs))


class _OfPair(Protocol):
    pk: uuid.UUID
    phone_number_id: int
    contact_id: int


def closed(rows: Sequence[_OfPair], at: datetime) -> set[uuid.UUID]:
    """Return the messages whose window has closed."""
    still_open = open_pairs([(row.phone_number_id, row.contact_id) for row in rows], at)
    return {row.pk for row in rows if (row.phone_number_id, row.contact_id) not in still_open}


def opens(inbound: Inbound) -> bool:
    """Say whether what the person sent opens the window."""
    return inbound.kind not in _OPENS_NOTHING and bool(inbound.phone or inbound.bsuid)


@transaction.atomic
def refresh(written: Sequence[Written]) -> None:
    """Open the window of each person who wrote; only a later message moves it."""
    latest: dict[Pair, tuple[datetime, PhoneNumber]] = {}
    for inbound, number, contact_id in written:
        pair = (number.pk, contact_id)
        if pair not in latest or latest[pair][0] < inbound.at:
            latest[pair] = (inbound.at, number)
    ServiceWindow.objects.bulk_create(
        (
            ServiceWindow(
                org_id=number.org_id,
                phone_number_id=number_pk,
                contact_id=contact_id,
                last_inbound_at=at,
            )
            for (number_pk, contact_id), (at, number) in sorted(latest.items())
        ),
        ignore_conflicts=True,
    )
    rows = (
        ServiceWindow.objects.select_for_update()
        .filter(
            phone_number_id__in={number for number, _contact in latest},
            contact_id__in={contact for _number, contact in latest},
        )
        .order_by("pk")
    )
    later = [
        {"pk": row.pk, "last_inbound_at": latest[pair][0]}
        for row in rows
        if (pair := (row.phone_number_id, row.contact_id)) in latest
        and row.last_inbound_at < latest[pair][0]
    ]
    database.update_rows(ServiceWindow, later)


def move(merged: Mapping[int, int]) -> None:
    """Give the windows of merged contacts to those they were merged into; the later one counts."""
    rows = list(
        ServiceWindow.objects.select_for_update()
        .filter(contact_id__in=[*merged, *merged.values()])
        .order_by("pk")
    )
    kept = {(row.phone_number_id, row.contact_id): row for row in rows}
    doubled = []
    for row in rows:
        pair = (row.phone_number_id, merged.get(row.contact_id, row.contact_id))
        other = kept.setdefault(pair, row)
        if other is not row:
            other.last_inbound_at = max(other.last_inbound_at, row.last_inbound_at)
            doubled.append(row.pk)
    ServiceWindow.objects.filter(pk__in=doubled).delete()
    database.update_rows(
        ServiceWindow,
        [
            {
                "pk": row.pk,
                "contact_id": merged.get(row.contact_id, row.contact_id),
                "last_inbound_at": row.last_inbound_at,
            }
            for row in rows
            if row.pk not in doubled
        ],
    )
