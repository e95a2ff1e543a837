"""The limits around a claim: Redis sorts out early what cannot go, the database decides."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from messaging import candidates, limits
from messaging.candidates import Claimed
from messaging.lanes import Turn
from messaging.models import PhoneNumber
from messaging.providers.base import steady_seconds
from ratelimit import limiter
from ratelimit.limiter import Used
from ratelimit.rules import HORIZON, SECOND, Ask, Limit, Verdict

# A sending thread begins about so many calls a second. Start slots of several numbers that came
# closer would be missed, and booked again for more than they cost the first time.
STARTS_PER_SECOND = 2000
APART = SECOND // STARTS_PER_SECOND


@dataclass(slots=True)
class Screened:
    """The messages of one claim with what Redis and then the database said of them.

    Without Redis nothing is screened, and the database is asked about all that was locked.
    """

    clock: limits.Clock
    is_screened: bool = False
    asks: dict[uuid.UUID, Ask] = field(default_factory=dict)
    early: dict[uuid.UUID, Verdict] = field(default_factory=dict)
    decided: dict[uuid.UUID, Verdict] = field(default_factory=dict)
    seen: int = 0  # how many messages were looked at
    decided_at: float = 0.0  # steady_seconds()

    @property
    def is_idle(self) -> bool:
        """Say whether a transaction would find nothing to do."""
        return self.is_screened and not self._worth_locking()

    @property
    def exhausted(self) -> dict[int, str]:
        """Return the organisations whose quota refused a message: primary key and public id."""
        return {
            self.asks[pk].org: self.asks[pk].org_id
            for pk, verdict in self._last_words()
            if verdict.limit == Limit.QUOTA
        }

    def has_let_go(self, rows: Sequence[Claimed]) -> bool:
        """Say whether Redis has let all of them go, so that the database will hardly refuse any."""
        return self.is_screened and all(self.early[row.pk].limit is None for row in rows)

    def lock(self, turns: Sequence[Turn]) -> list[Claimed]:
        """Lock what may go, and what waits for a limit of its own to have its time moved."""
        if self.is_screened:
            return candidates.lock_chosen(self._worth_locking(), self.clock.now)
        rows = candidates.lock(turns, self.clock.now)
        self.seen = len(rows)
        return rows

    def confirm(
        self, rows: Sequence[Claimed], numbers: Mapping[int, PhoneNumber], soonest: float
    ) -> dict[uuid.UUID, Verdict]:
        """Decide on the locked rows for good; those that are held must ``step_back``.

        No start slot comes before ``soonest``, by steady_seconds().
        """
        unknown = [row for row in rows if row.pk not in self.asks]
        self.asks |= limits.asks(unknown, numbers, self.clock.now) if unknown else {}
        asked = {row.pk: self.asks[row.pk] for row in rows}
        verdicts = limiter.confirm(
            list(asked.values()), self.clock.micros, self.clock.shared(soonest), APART
        )
        self.decided_at = steady_seconds()
        self.decided = dict(zip(asked, verdicts, strict=True))
        return self.decided

    def step_back(self) -> None:
        """Have the rows wait that a limit of their own holds; they are still queued."""
        limits.step_back(
            [
                (pk, verdict)
                for pk, verdict in self.decided.items()
                if verdict.limit in limits.OF_MESSAGE
            ]
        )

    def undo(self) -> None:
        """Forget what was decided in a transaction that failed."""
        self.decided = {}

    def settle(self) -> None:
        """Have Redis follow what became of the messages; call it after the transaction."""
        granted = {pk: verdict for pk, verdict in self.early.items() if verdict.limit is None}
        limiter.return_unused(
            [
                Used(self.asks[pk], verdict.window)
                for pk, verdict in granted.items()
                if pk not in self.decided or self.decided[pk].limit is not None
            ]
        )
        differing = [
            self.asks[pk]
            for pk, verdict in self.early.items()
            if pk in self.decided and _differs(self.decided[pk], verdict)
        ]
        limiter.correct(differing, self.clock.micros)
        # Where a number keeps up, it does not matter that Redis thinks of other start slots.
        limiter.follow_starts(
            self._starts(
                {
                    pk: verdict
                    for pk, verdict in self.decided.items()
                    if verdict.limit == Limit.THROUGHPUT and pk in granted
                }
            ),
            self.clock.micros,
        )

    def booked(self) -> dict[int, float]:
        """Return the first free start slot of each number as far as it is known here."""
        known = self._starts(dict(self._last_words()))
        return {number: self.clock.steady(at) for (_org, number), at in known.items()}

    def _starts(self, verdicts: Mapping[uuid.UUID, Verdict]) -> dict[tuple[str, int], int]:
        """Return what the verdicts tell of the first free start slots."""
        known: dict[tuple[str, int], int] = {}
        for pk, verdict in verdicts.items():
            ask = self.asks[pk]
            if verdict.limit is None:
                free_at = verdict.at + ask.gap
            elif verdict.limit is Limit.THROUGHPUT:
                free_at = verdict.at + HORIZON
            else:
                continue
            number = (ask.org_id, ask.number)
            if free_at > known.get(number, 0):
                known[number] = free_at
        return known

    def _last_words(self) -> list[tuple[uuid.UUID, Verdict]]:
        return list((self.early | self.decided).items())

    def _worth_locking(self) -> list[uuid.UUID]:
        return [
            pk
            for pk, verdict in self.early.items()
            if verdict.limit is None or verdict.limit in limits.OF_MESSAGE
        ]


# What Redis should have known of when it let a message go that the database then refused.
_KNOWN_TO_BOTH = frozenset({Limit.QUOTA, Limit.PAIR, Limit.THROTTLED})


def screen(
    turns: Sequence[Turn], numbers: Mapping[int, PhoneNumber], clock: limits.Clock
) -> Screened:
    """Ask Redis about what each lane may give."""
    screened = Screened(clock)
    if not turns or not limiter.is_worth_asking():
        return screened
    found = candidates.look(turns, clock.now)
    asks = limits.asks(found, numbers, clock.now)
    verdicts = limiter.screen(list(asks.values()), screened.clock.micros)
    if verdicts is not None:
        screened.is_screened, screened.asks, screened.seen = True, asks, len(asks)
        screened.early = dict(zip(asks, verdicts, strict=True))
    return screened


def _differs(decided: Verdict, early: Verdict) -> bool:
    """Say whether Redis should learn from the database: who goes or not, or another window."""
    if decided.limit is None:
        return decided.window != early.window  # 0 when Redis had refused it
    return early.limit is None and decided.limit in _KNOWN_TO_BOTH
