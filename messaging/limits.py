"""Between messages and the limiter: what a message asks for, and what follows from the answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from django.db import transaction
from django.db.models import Q

from messaging import windows
from messaging.candidates import Claimed
from messaging.models import BusinessAccount, OutboundMessage, PhoneNumber
from messaging.providers.base import ErrorRule, Outcome, Result, Scope, steady_seconds
from orgs import database
from ratelimit import holds, limiter, quota, rules
from ratelimit.holds import HoldRequest
from ratelimit.limiter import Used
from ratelimit.models import Hold
from ratelimit.rules import Ask, Limit, Verdict
from ratelimit.stores import database as books
from ratelimit.stores import rows

# What goes inside a service window costs a portfolio nothing; free-form messages go only there.
_COUNTS_FOR_TIER = frozenset({"template"})
# Limits that one message waits for by itself: its own due time moves.
OF_MESSAGE = frozenset({Limit.PAIR, Limit.CONTACTS})
# Answers after which nothing was sent, so that what was counted goes back. A lost answer
# never does: the message may have gone.
UNUSED = frozenset({Outcome.NOT_SENT, Outcome.THROTTLED, Outcome.RETRY, Outcome.REJECTED})
# A burst of refusals lowers the rate once, not once each.
LOWER_AGAIN = timedelta(seconds=5)
# Meta's advice for the pair limit begins with one second; the message itself waits longer.
PAIR_WAIT_SECONDS = 1.0
# The shared clock is read again while that takes longer than what the grace of a start slot
# keeps free for it.
CLOCK_SLACK_SECONDS = rules.CLOCK_SLACK / rules.SECOND
CLOCK_TRIES = 3


class Asking(Protocol):
    """What the limits ask of a message."""

    @property
    def pk(self) -> uuid.UUID: ...  # noqa: D102 - plain fields

    @property
    def phone_number_id(self) -> int: ...  # noqa: D102

    @property
    def contact_id(self) -> int: ...  # noqa: D102

    @property
    def kind(self) -> str: ...  # noqa: D102


class _OfNumber(NamedTuple):
    """What all messages of a number ask alike."""

    org: int
    org_id: str
    number: int
    gap: int
    portfolio: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that Meta refused because of a limit."""

    number: PhoneNumber
    contact_id: int | None  # None: no message in particular
    rule: ErrorRule
    asked_wait: float | None = None  # what Meta asked for, seconds


def asks(
    messages: Sequence[Asking],
    numbers: Mapping[int, PhoneNumber],
    now: datetime,
    *,
    with_tier: bool = True,
) -> dict[uuid.UUID, Ask]:
    """Return what each of the messages asks for; their numbers are loaded with account and org.

    What all messages of a number ask alike is found once, and by one statement who has written
    lately, if a tier counts people at all.
    """
    known = {pk: _of_number(number, now) for pk, number in numbers.items()}
    counted = _counted(messages, numbers, now) if with_tier else {}
    return {
        message.pk: _ask(message, known[message.phone_number_id], counted.get(message.pk, 0))
        for message in messages
    }


def _counted(
    messages: Sequence[Asking], numbers: Mapping[int, PhoneNumber], now: datetime
) -> dict[uuid.UUID, int]:
    """Return the tier of each message that counts for one: a template outside a window."""
    tiers = {pk: number.account.portfolio_tier for pk, number in numbers.items()}
    found = {
        message.pk: (message.phone_number_id, message.contact_id)
        for message in messages
        if tiers[message.phone_number_id] and message.kind in _COUNTS_FOR_TIER
    }
    inside = windows.open_pairs(found.values(), now)
    return {pk: tiers[pair[0]] for pk, pair in found.items() if pair not in inside}


def portfolio_of(account: BusinessAccount) -> str:
    """Return Meta's id of the account's portfolio; an account without one counts by itself."""
    return account.portfolio_id or account.waba_id


def gap_of(number: PhoneNumber, now: datetime) -> int:
    """Return the time between two starts of the number, its lowered rate considered."""
    share = rules.recovered(number.rate_share, number.rate_lowered_at, now)
    return rules.gap(number.messages_per_second, share)


def step_back(held: Sequence[tuple[uuid.UUID, Verdict]]) -> None:
    """Have locked messages wait for a limit of their own, by one statement; costs no attempt."""
    database.update_rows(
        OutboundMessage,
        [
            {"pk": pk, "due_at": rules.moment(verdict.at), "held_by": verdict.limit}
            for pk, verdict in held
        ],
    )


def hold_exhausted(orgs: Mapping[int, str], now: datetime) -> None:
    """Hold the organisations whose quota is used up, until their windows end.

    Looked at under the rows' locks, so that a quota raised at this moment is not missed.
    """
    if not orgs:
        return
    at = rules.micros(now)
    with transaction.atomic():
        quotas = rows.lock(sorted(orgs))
        holds.place(
            [
                HoldRequest(
                    scope=Hold.Scope.ORGANIZATION,
                    key=org_id,
                    cause=Hold.Cause.QUOTA_EXCEEDED,
                    until=rules.moment(quotas[org].reset),
                    detail=f"{quotas[org].sent:,} of {quotas[org].limit:,} messages are sent.",
                    org_id=org,
                )
                for org, org_id in orgs.items()
                if not quotas[org].has_room(at)
            ],
            now,
        )


def note(
    answers: Sequence[tuple[Claimed, Result]], pauses: Sequence[HoldRequest], now: datetime
) -> None:
    """Take in what a group of answers says of the limits; in the transaction of their record.

    ``pauses`` are the holds these answers ask for.
    """
    unused = [
        message for message, result in answers if result.outcome in UNUSED and message.quota_window
    ]
    numbers = {message.phone_number_id: message.phone_number for message in unused}
    asked = asks(unused, numbers, now, with_tier=False)
    limiter.give_back([Used(asked[message.pk], message.quota_window) for message in unused])
    refusals = [
        Refusal(message.phone_number, message.contact_id, result.rule, result.retry_after_seconds)
        for message, result in answers
        if result.outcome == Outcome.THROTTLED and result.rule is not None
    ]
    note_refusals(refusals, pauses, now)


def note_refusals(
    refusals: Sequence[Refusal], pauses: Sequence[HoldRequest], now: datetime
) -> None:
    """Take in what Meta refused for a limit, by an answer or a status; in a transaction.

    ``pauses`` are the holds these refusals ask for.
    """
    of_pairs = [each for each in refusals if each.rule.scope == Scope.PAIR]
    debts = {
        (each.number.pk, each.contact_id): _debt(each.asked_wait, now)
        for each in of_pairs
        if each.contact_id is not None
    }
    books.hold_pairs({each.number.org_id for each in of_pairs}, debts)
    _lower_rates({each.number.pk for each in refusals if each.rule.lowers_rate}, now)
    for pause in pauses:
        _throttle_org(pause)


def book_again(messages: Sequence[Claimed], lead: float) -> list[float]:
    """Return new start slots for messages of one number that missed theirs, steady_seconds().

    The first comes no sooner than after ``lead`` seconds.
    """
    number = messages[0].phone_number
    with transaction.atomic():
        clock = Clock.read()
        gap = gap_of(number, clock.now)
        soonest = clock.micros + int(lead * rules.SECOND)
        missed = [(message.contact_id, clock.shared(message.start_at)) for message in messages]
        slots = books.book_starts(number.org_id, number.pk, gap, missed, soonest)
    for message, slot in zip(messages, slots, strict=True):
        message.start_at = clock.steady(slot)
    return [message.start_at for message in messages]


@dataclass(frozen=True, slots=True)
class Clock:
    """One reading of the shared clock, and of this process's own at the same moment."""

    now: datetime
    read_at: float

    @classmethod
    def read(cls) -> Clock:
        """Read both; the own one after, so that a slot is never thought to come sooner.

        A stall between the two would delay the starts of a whole claim, unseen by the grace of
        single calls: of some tries the quickest counts.
        """
        readings: list[tuple[float, Clock]] = []
        while len(readings) < CLOCK_TRIES:
            begun = steady_seconds()
            clock = cls(database.now(), steady_seconds())
            readings.append((clock.read_at - begun, clock))
            if readings[-1][0] <= CLOCK_SLACK_SECONDS:
                break
        return min(readings, key=lambda reading: reading[0])[1]

    def go_on(self) -> Clock:
        """Return what the shared clock shows by now, as this process's own tells; no journey."""
        read_at = steady_seconds()
        return Clock(self.now + timedelta(seconds=read_at - self.read_at), read_at)

    @property
    def micros(self) -> int:
        """Return the shared time as the limiter counts it."""
        return rules.micros(self.now)

    def steady(self, at: int) -> float:
        """Return when this process's own clock reaches a time of the limiter."""
        return self.read_at + (at - self.micros) / rules.SECOND

    def shared(self, at: float) -> int:
        """Return the time of the limiter at which this process's own clock shows that."""
        return self.micros + int((at - self.read_at) * rules.SECOND)


def _of_number(number: PhoneNumber, now: datetime) -> _OfNumber:
    portfolio = portfolio_of(number.account)
    return _OfNumber(number.org_id, number.org.org_id, number.pk, gap_of(number, now), portfolio)


def _ask(message: Asking, of: _OfNumber, tier: int) -> Ask:
    return Ask(of.org, of.org_id, of.number, of.gap, message.contact_id, of.portfolio, tier)


def _debt(asked_wait: float | None, now: datetime) -> int:
    """Return what a pair owes that may have no message before the wait is over."""
    wait = asked_wait or PAIR_WAIT_SECONDS
    return rules.micros(now) + int(wait * rules.SECOND) + rules.PAIR_DEBT


def _lower_rates(numbers: Iterable[int], now: datetime) -> None:
    """Halve the rate of numbers that met their throughput at Meta; it recovers by itself."""
    for number in PhoneNumber.objects.filter(pk__in=set(numbers)).only(
        "rate_share", "rate_lowered_at"
    ):
        share = rules.recovered(number.rate_share, number.rate_lowered_at, now)
        fresh = Q(rate_lowered_at=None) | Q(rate_lowered_at__lt=now - LOWER_AGAIN)
        PhoneNumber.objects.filter(fresh, pk=number.pk).update(
            rate_share=max(rules.LEAST_SHARE, share // 2), rate_lowered_at=now
        )


def _throttle_org(pause: HoldRequest) -> None:
    """Throttle the organisation as a whole when Meta throttles the only account it has."""
    is_throttle = pause.scope == Hold.Scope.ACCOUNT and pause.cause == Hold.Cause.THROTTLE
    if not is_throttle or pause.org_id is None or pause.until is None:
        return
    numbers = PhoneNumber.objects.filter(org=pause.org_id, is_active=True)
    if not numbers.exclude(account__waba_id=pause.key).exists():
        quota.throttle(pause.org_id, pause.until)
