"""What the checks read: plain figures of one moment, judged by the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Group:
    """So many messages of one organisation, channel and status."""

    org: str
    channel: str
    status: str
    count: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages that wait for their turn or are on their way; those scheduled for later are not."""

    queued: int
    sending: int
    is_bounded: bool = False  # counting stopped: there are at least so many


@dataclass(frozen=True, slots=True)
class Failures:
    """How the messages of one channel ended inside the window, without campaign outcomes."""

    channel: str
    failed: int
    went: int  # sent or delivered; extrapolated when the calls were too many to be counted
    top_codes: Sequence[tuple[str, int]] = ()

    @property
    def total(self) -> int:
        """Return how many have ended."""
        return self.failed + self.went

    @property
    def rate(self) -> float:
        """Return the share that failed."""
        return self.failed / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Escalation:
    """Messages whose attempts are used up, or nearly."""

    used_up: Sequence[Group]  # FAILED inside the window
    going_on: Sequence[Group]  # not ended in spite of many attempts


@dataclass(frozen=True, slots=True)
class Stop:
    """A circuit: something stands still until Meta, or staff, says that all is well."""

    scope: str
    key: str
    cause: str
    cause_label: str
    code: str
    detail: str
    org: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class BadNumber:
    """A phone number whose quality Meta rates RED."""

    phone_number_id: str
    name: str
    org: str


@dataclass(frozen=True, slots=True)
class TierChange:
    """Meta has set how many people a portfolio may reach in 24 hours; 0: any number."""

    change_id: int
    waba_id: str
    org: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class TierUse:
    """How many of the people that its tier allows a portfolio has reached in 24 hours."""

    portfolio: str
    org: str  # empty: organisations share it
    waba_id: str  # one of its accounts
    reached: int
    tier: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What Meta thinks of numbers and portfolios, and what is left of what it allows."""

    red: Sequence[BadNumber] = ()
    tiers: Sequence[TierChange] = ()
    reached: Sequence[TierUse] = ()


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How much of its quota an organisation has used."""

    org: str
    sent: int
    limit: int
    reset_at: datetime | None


@dataclass(frozen=True, slots=True)
class SilentApp:
    """A Meta app whose messages were accepted, but of which nobody told us anything since."""

    app_id: str
    name: str
    accepted: int  # messages looked at that have no status


@dataclass(frozen=True, slots=True)
class Inbox:
    """Webhooks that wait, or could not be used."""

    unmatched: int
    poisoned: int
    unreadable: int
    oldest_waiting: timedelta | None
    lost: int = 0  # times Meta told of webhooks it could not deliver


@dataclass(frozen=True, slots=True)
class Processes:
    """How long ago a process of each kind was last seen; None: never."""

    ages: Mapping[str, timedelta | None] = field(default_factory=dict)
    missing_after: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Expiring:
    """Messages that have waited long and will soon be given up."""

    count: int
    first: datetime | None
    is_bounded: bool = False
