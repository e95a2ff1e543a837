"""Quiet hours: when an organisation leaves people in peace, by the clock where they are."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache

import phonenumbers
from phonenumbers import timezone as number_zones

from consent.models import ConsentPolicy

# If no hour within these days suits every zone a number may be in, none ever will.
_LOOK_AHEAD = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``begins`` to ``ends`` by the person's clock marketing waits, also across midnight."""

    begins: time
    ends: time
    zone: str  # for people whose own cannot be told


@cache
def known_zones() -> frozenset[str]:
    """Return the names of the time zones."""
    return frozenset(zoneinfo.available_timezones())


def of(org_ids: Iterable[int] | None = None) -> dict[int, QuietHours]:
    """Return the hours of those organisations, or of all, that keep some; by one query."""
    rows = ConsentPolicy.objects.filter(quiet_from__isnull=False, quiet_until__isnull=False)
    if org_ids is not None:
        rows = rows.filter(org_id__in=set(org_ids))
    return {
        org_id: QuietHours(begins, ends, zone)
        for org_id, begins, ends, zone in rows.values_list(
            "org_id", "quiet_from", "quiet_until", "time_zone"
        )
        if begins is not None and ends is not None
    }


def zones(phone: str | None, chosen: str, fallback: str) -> tuple[str, ...]:
    """Return where a person may be: as chosen for them, else every zone of their number.

    A mobile number of a large country may be in any of its zones.
    """
    if chosen:
        return (chosen,)
    found: Sequence[str] = ()
    if phone:
        try:
            found = number_zones.time_zones_for_number(phonenumbers.parse(phone, None))
        except phonenumbers.NumberParseException:
            found = ()
    known = tuple(name for name in found if _zone(name) is not None)
    return known or (fallback,)


def opens_at(hours: QuietHours, places: Sequence[str], at: datetime) -> datetime | None:
    """Return when it is quiet no longer in any of the places; None when it is not quiet now.

    Places so far apart that it is always quiet in one of them count as the organisation's own.
    """
    moment = at
    while moment - at <= _LOOK_AHEAD:
        ends = [end for place in places if (end := _end(hours, place, moment)) is not None]
        if not ends:
            return moment if moment > at else None
        moment = max(ends)
    return _end(hours, hours.zone, at)


def begins_at(hours: QuietHours, places: Sequence[str], at: datetime) -> datetime:
    """Return when it is next quiet in one of the places, for a moment when it is not."""
    begins = min(_begin(hours, place, at) for place in places)
    # Not so where the organisation's own zone counts instead.
    return begins if opens_at(hours, places, begins) else _begin(hours, hours.zone, at)


def _begin(hours: QuietHours, place: str, at: datetime) -> datetime:
    zone = _zone(place) or UTC
    today = at.astimezone(zone).date()
    days = (today, today + timedelta(days=1))
    begins = [begin for day in days for begin in _moments(day, hours.begins, zone)]
    return next(begin for begin in begins if begin > at)


def _end(hours: QuietHours, place: str, at: datetime) -> datetime | None:
    """Return the end of the quiet hours that it is now in one place; None when it is not quiet."""
    zone = _zone(place) or UTC
    local = at.astimezone(zone)
    clock = local.time()
    overnight = hours.begins > hours.ends
    in_evening = overnight and clock >= hours.begins
    in_morning = clock < hours.ends and (overnight or clock >= hours.begins)
    if not in_evening and not in_morning:
        return None
    day = local.date() + timedelta(days=1) if in_evening else local.date()
    # Of an hour that comes twice the first may be over.
    ends = _moments(day, hours.ends, zone)
    return next((end for end in ends if end > at), None)


def _moments(day: date, clock: time, zone: tzinfo) -> list[datetime]:
    """Return when a clock shows that time on a day: twice where clocks are put back."""
    return [
        datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)
    ]


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the zone; None for a name the system does not know."""
    try:
        found = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None
    return None if name == "Etc/Unknown" else found
