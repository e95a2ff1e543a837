"""Why a queued message is not going yet, and when it is next looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from consent import quiet
from consent.models import Purpose
from consent.quiet import QuietHours
from messaging import holding
from messaging.models import OutboundMessage
from messaging.states import Status
from ratelimit import holds, quota
from ratelimit.models import Hold
from ratelimit.rules import Limit

INACTIVE = "inactive"
SCHEDULED = "scheduled"
RETRY = "retry"
QUIET_HOURS = "quiet_hours"
DUE = "due"
_OWN_REASONS = {
    DUE: "nothing: its turn comes",
    SCHEDULED: "the time the client asked for",
    RETRY: "the next attempt",
    QUIET_HOURS: "the end of quiet hours",
    Limit.PAIR.value: "the limit of messages to one person",
    Limit.CONTACTS.value: "the portfolio's tier",
    INACTIVE: "an inactive number or organisation",
}
# What a queued message may wait for, in words.
REASONS: dict[str, str] = _OWN_REASONS | {
    str(cause): f"{label} (hold)" for cause, label in Hold.Cause.choices
}
_LIMITS = {
    Limit.PAIR.value: "Too many messages from this number to this person in a short time.",
    Limit.CONTACTS.value: "The portfolio has reached as many people in 24 hours as it may.",
}
_THROTTLED = "Meta throttles the organisation as a whole."


@dataclass(frozen=True, slots=True)
class Waiting:
    """What stands between a queued message and its call."""

    reason: str  # a cause of a hold, or one of this module's words
    until: datetime | None  # None: until somebody changes it
    detail: str

    @property
    def words(self) -> str:
        """Return the reason as people say it, to go on with after "waits for"."""
        if self.reason in Hold.Cause.values:
            label = str(Hold.Cause(self.reason).label)
            return label[:1].lower() + label[1:]
        return _OWN_REASONS[self.reason]


@dataclass(frozen=True, slots=True)
class Board:
    """The holds and quiet hours in force at one moment, to ask about many messages."""

    active: holding.Active
    hours: Mapping[int, QuietHours]  # by organisation
    now: datetime
    throttled: Mapping[int, datetime]  # organisations held as a whole, and until when

    @classmethod
    def at(cls, now: datetime) -> Board:
        """Read what stands still, by one query each."""
        return cls(holds.active(now), quiet.of(), now, quota.throttled(now))

    def of(self, message: OutboundMessage) -> Waiting | None:
        """Return why the message waits; None when it does not.

        Of several reasons the one that lasts longest. Its number must be loaded with account,
        app and organisation, and its contact too when `needs_person` says so.
        """
        if message.status != Status.QUEUED:
            return None
        number = message.phone_number
        if not number.is_active or not number.org.is_active:
            return Waiting(INACTIVE, None, "The number or the organisation is inactive.")
        reasons = [waiting for _hold, waiting in self.held(message)]
        if number.org_id in self.throttled:
            until = self.throttled[number.org_id]
            reasons.append(Waiting(Hold.Cause.THROTTLE, until, _THROTTLED))
        # Quiet hours first: the message is due when they end, and that is why.
        reasons += [
            reason for reason in (self.quiet(message), own_time(message, self.now)) if reason
        ]
        return max(reasons, key=lambda reason: _lasts(reason.until), default=None)

    def needs_person(self, message: OutboundMessage) -> bool:
        """Say whether the answer may depend on where the person is."""
        is_marketing = message.purpose == Purpose.MARKETING
        return message.status == Status.QUEUED and is_marketing and message.org_id in self.hours

    def held(self, message: OutboundMessage) -> list[tuple[Hold, Waiting]]:
        """Return the holds on what the message goes by."""
        number = message.phone_number
        template = self.active.get(holding.template_key(message, number), [])
        return [
            (hold, _of_hold(hold)) for hold in (*holding.on_number(self.active, number), *template)
        ]

    def quiet(self, message: OutboundMessage) -> Waiting | None:
        """Return why a message waits for the morning; None when it does not."""
        kept = self._kept(message)
        until = quiet.opens_at(*kept, self.now) if kept else None
        text = "It is quiet hours where the person is; marketing waits."
        return Waiting(QUIET_HOURS, until, text) if until else None

    def quiet_again(self, message: OutboundMessage) -> datetime | None:
        """Return when quiet hours next hold a message they do not hold now; None: never."""
        kept = self._kept(message)
        return quiet.begins_at(*kept, self.now) if kept else None

    def _kept(self, message: OutboundMessage) -> tuple[QuietHours, tuple[str, ...]] | None:
        """Return the hours that are kept for a message, and where its person may be."""
        hours = self.hours.get(message.org_id)
        if hours is None or message.purpose != Purpose.MARKETING:
            return None
        person = message.contact
        return hours, quiet.zones(person.phone, person.time_zone, hours.zone)


def _of_hold(hold: Hold) -> Waiting:
    text = hold.detail or f"{hold.get_scope_display()}: {hold.get_cause_display()}"
    return Waiting(hold.cause, hold.until or hold.probe_at, text)


def own_time(message: OutboundMessage, now: datetime) -> Waiting | None:
    """Return why a queued message is due later, whatever holds there are; None when it is due."""
    if message.status != Status.QUEUED or message.due_at is None or message.due_at <= now:
        return None
    if message.held_by:
        return Waiting(message.held_by, message.due_at, _LIMITS.get(message.held_by, ""))
    if message.last_attempt_number:
        return Waiting(RETRY, message.due_at, message.error_message)
    if message.scheduled_at is not None and message.scheduled_at > now:
        return Waiting(SCHEDULED, message.due_at, "The client asked for a later time.")
    # It stepped back, as from a template on hold, and what held it has gone since.
    return Waiting(DUE, message.due_at, "It was held until a moment ago and is looked at again.")


def _lasts(until: datetime | None) -> tuple[bool, float]:
    return until is None, until.timestamp() if until else 0.0


def condition(reason: str, now: datetime) -> Q:
    """Return what tells the queued messages that wait for one of REASONS, perhaps among others."""
    later = Q(due_at__gt=now)
    first_time = Q(held_by="", last_attempt_number=0)
    by_reason = {
        DUE: Q(due_at__lte=now),
        SCHEDULED: later & Q(scheduled_at__gt=now),
        RETRY: later & Q(held_by="", last_attempt_number__gt=0),
        # As quiet_hours finds them again.
        QUIET_HOURS: later
        & first_time
        & Q(purpose=Purpose.MARKETING)
        & (Q(scheduled_at=None) | Q(scheduled_at__lte=now)),
        Limit.PAIR.value: later & Q(held_by=Limit.PAIR),
        Limit.CONTACTS.value: later & Q(held_by=Limit.CONTACTS),
        INACTIVE: Q(phone_number__is_active=False) | Q(org__is_active=False),
    }
    return by_reason[reason] if reason in by_reason else _held_for(reason, now)


def _held_for(cause: str, now: datetime) -> Q:
    held = [hold for found in holds.active(now).values() for hold in found if hold.cause == cause]
    found = holding.stopped(held)
    if cause == Hold.Cause.THROTTLE:
        found |= Q(org__in=list(quota.throttled(now)))
    return found
