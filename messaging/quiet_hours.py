"""Marketing waits for the morning: messages due at night step back to its end."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django.db.models import F, Q

from consent import quiet
from consent.models import ConsentPolicy, Contact, Purpose
from messaging import wake
from messaging.models import OutboundMessage
from messaging.states import Status
from orgs import database

# Messages looked at again in one transaction after a change of quiet hours.
BATCH = 1000
# People whose messages are looked at again in one transaction.
PEOPLE = 500


class _Due(Protocol):
    pk: uuid.UUID
    org_id: int
    contact_id: int
    purpose: str


def postpone(rows: Sequence[_Due], now: datetime) -> set[uuid.UUID]:
    """Move the locked messages whose person sleeps to the end of the quiet hours; return them.

    Three statements at most, however many messages; none when no marketing is among them.
    """
    marketing = [row for row in rows if row.purpose == Purpose.MARKETING]
    hours = quiet.of({row.org_id for row in marketing}) if marketing else {}
    concerned = [row for row in marketing if row.org_id in hours]
    if not concerned:
        return set()
    people = Contact.objects.filter(pk__in={row.contact_id for row in concerned})
    places = {
        pk: quiet.zones(phone, zone, hours[org_id].zone)
        for pk, org_id, phone, zone in people.values_list("pk", "org_id", "phone", "time_zone")
    }
    ends: dict[tuple[int, tuple[str, ...]], datetime | None] = {}
    later: dict[uuid.UUID, datetime] = {}
    for row in concerned:
        key = (row.org_id, places[row.contact_id])
        if key not in ends:
            ends[key] = quiet.opens_at(hours[row.org_id], key[1], now)
        end = ends[key]
        if end is not None:
            later[row.pk] = end
    database.update_rows(
        OutboundMessage,
        [{"pk": pk, "due_at": end, "updated_at": now} for pk, end in later.items()],
    )
    return set(later)


def reconsider() -> int:
    """Make one batch of messages due that a change of quiet hours may free; return how many.

    The claim holds back again those for whom it is still night.
    """
    with transaction.atomic():
        policy = (
            ConsentPolicy.objects.select_for_update(skip_locked=True)
            .filter(hours_changed_at__isnull=False)
            .order_by("pk")
            .first()
        )
        if policy is None:
            return 0
        # Those held back since the change were held back by the new hours.
        held = Q(org_id=policy.org_id, updated_at__lt=policy.hours_changed_at)
        freed = _make_due(held, database.now())
        if freed < BATCH:
            ConsentPolicy.objects.filter(pk=policy.pk).update(hours_changed_at=None)
    wake.now(wake.SEND)
    return max(freed, 1)


def reconsider_people() -> int:
    """The same for the messages to some of the people whose time zone has changed."""
    with transaction.atomic():
        people = list(
            Contact.objects.select_for_update(skip_locked=True)
            .filter(zone_changed_at__isnull=False)
            .order_by("pk")
            .values_list("pk", flat=True)[:PEOPLE]
        )
        if not people:
            return 0
        held = Q(contact_id__in=people, updated_at__lt=F("contact__zone_changed_at"))
        freed = _make_due(held, database.now())
        if freed < BATCH:
            Contact.objects.filter(pk__in=people).update(zone_changed_at=None)
    if freed:
        wake.now(wake.SEND)
    return len(people)


def _make_due(held: Q, now: datetime) -> int:
    """Make messages due that wait for no schedule of the client's and no retry."""
    chosen = (
        OutboundMessage.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(
            held,
            Q(scheduled_at=None) | Q(scheduled_at__lte=now),
            status=Status.QUEUED,
            purpose=Purpose.MARKETING,
            due_at__gt=now,
            last_attempt_number=0,
        )
        .order_by("pk")
        .values_list("pk", flat=True)[:BATCH]
    )
    return OutboundMessage.objects.filter(pk__in=list(chosen)).update(due_at=now, updated_at=now)
