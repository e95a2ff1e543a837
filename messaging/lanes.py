"""Whose turn it is: the queue as lanes, one per phone number and priority."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q

from messaging.models import OutboundMessage, PhoneNumber
from orgs.encryption import DecryptionError

logger = logging.getLogger(__name__)

# Messages one lane may take in one claim, so that every claim stays short.
QUANTUM = 200


@dataclass(frozen=True, slots=True)
class Lane:
    """The queued messages of one number and priority; 10 is high, 30 is bulk."""

    number_id: int
    priority: int


@dataclass(frozen=True, slots=True)
class Turn:
    """How many messages a lane may give now."""

    lane: Lane
    most: int


def due(now: datetime) -> list[Lane]:
    """Return the lanes with due messages; the cost grows with the lanes, not with the queue."""
    if connection.vendor != "postgresql":
        found = (
            OutboundMessage.objects.due(now)
            .order_by("phone_number_id", "priority")
            .values_list("phone_number_id", "priority")
            .distinct()
        )
        return [Lane(number_id, priority) for number_id, priority in found]
    with connection.cursor() as cursor:
        cursor.execute(_DUE_LANES, {"now": now})
        return [Lane(number_id, priority) for number_id, priority in cursor.fetchall()]


def eligible(lanes: Sequence[Lane]) -> dict[int, PhoneNumber]:
    """Return the active numbers of these lanes, with what sending needs and nothing more.

    A number whose token no key opens is left out, so that it stops nobody else.
    """
    found = (
        PhoneNumber.objects.filter(
            Q(pk__in={lane.number_id for lane in lanes}), is_active=True, org__is_active=True
        )
        .select_related("account__app", "org")
        .only(
            *("phone_number_id", "messages_per_second", "rate_share", "rate_lowered_at"),
            *("org__org_id", "account__access_token", "account__waba_id", "account__app__app_id"),
            *("account__portfolio_id", "account__portfolio_tier"),
        )
    )
    try:
        return {number.pk: number for number in found}
    except DecryptionError:
        logger.exception("A token cannot be read; its numbers are left out")
    readable: dict[int, PhoneNumber] = {}
    for pk in found.values_list("pk", flat=True):
        with suppress(DecryptionError):
            readable[pk] = found.get(pk=pk)
    return readable


def unreadable(lanes: Sequence[Lane], readable: Mapping[int, PhoneNumber]) -> list[PhoneNumber]:
    """Return the active numbers of the lanes that ``eligible`` left out; usually no query."""
    left = {lane.number_id for lane in lanes} - readable.keys()
    if not left:
        return []
    numbers = PhoneNumber.objects.filter(pk__in=left, is_active=True, org__is_active=True)
    return list(numbers.only("phone_number_id", "org"))


def take_turns(
    lanes: Sequence[Lane],
    *,
    free: int,
    capacity: int,
    busy: Mapping[int, int],
    ceilings: Mapping[int, int] | None = None,
) -> list[Turn]:
    """Share ``free`` places among the numbers of the lanes; the best lane of each goes first.

    ``busy`` counts the calls in flight by number. With k numbers at work none has more than
    capacity / (k + 1): there is always room for one that comes next, whoever hangs.
    ``ceilings`` bounds the calls in flight of single numbers further.
    """
    best: dict[int, Lane] = {}
    for lane in lanes:
        known = best.get(lane.number_id)
        if known is None or lane.priority < known.priority:
            best[lane.number_id] = lane
    at_work = len(best.keys() | {number for number, count in busy.items() if count})
    most = max(1, capacity // (at_work + 1))
    highest = ceilings or {}
    room = {
        number: min(QUANTUM, min(most, highest.get(number, most)) - busy.get(number, 0))
        for number in best
    }
    waiting = [number for number in best if room[number] > 0]
    random.shuffle(waiting)
    given = dict.fromkeys(waiting, 0)
    while free > 0 and waiting:
        share = max(1, free // len(waiting))
        for number in waiting:
            more = min(share, room[number] - given[number], free)
            given[number] += more
            free -= more
        waiting = [number for number in waiting if given[number] < room[number]]
    return [Turn(best[number], count) for number, count in given.items() if count]


# Jumps from lane to lane through idx_outbound_message_queued instead of reading them through.
_DUE_LANES = """
WITH RECURSIVE lane AS (
    (SELECT phone_number_id, priority FROM outbound_message
        WHERE status = 'QUEUED' ORDER BY phone_number_id, priority LIMIT 1)
    UNION ALL
    SELECT further.phone_number_id, further.priority
    FROM lane CROSS JOIN LATERAL (
        SELECT phone_number_id, priority FROM outbound_message
        WHERE status = 'QUEUED'
            AND (phone_number_id, priority) > (lane.phone_number_id, lane.priority)
        ORDER BY phone_number_id, priority LIMIT 1
    ) AS further
)
SELECT phone_number_id, priority FROM lane
WHERE EXISTS (
    SELECT 1 FROM outbound_message AS message
    WHERE message.status = 'QUEUED' AND message.phone_number_id = lane.phone_number_id
        AND message.priority = lane.priority AND message.due_at <= %(now)s
)
"""
