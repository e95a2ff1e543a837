"""What every provider takes and returns: plain frozen data, no Django."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


def steady_seconds() -> float:
    """Return seconds on a clock that never jumps and, on Linux, runs on through suspension."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


# The code of a call for which no connection could be made.
CONNECTION = "CONNECTION"


class Outcome(enum.StrEnum):
    """What one call to the provider came to."""

    ACCEPTED = "ACCEPTED"  # the provider answers for it now
    REJECTED = "REJECTED"  # refused for good
    RETRY = "RETRY"  # refused for now, worth another charged attempt
    THROTTLED = "THROTTLED"  # a limit or a stopped account: wait, no attempt charged
    NOT_SENT = "NOT_SENT"  # the request never left us: free to try again
    UNKNOWN = "UNKNOWN"  # it may or may not have arrived


class Scope(enum.StrEnum):
    """How far an error reaches beyond the message that met it."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    PAIR = "pair"  # one phone number towards one recipient
    TEMPLATE = "template"
    NUMBER = "number"
    ACCOUNT = "account"  # the WABA
    APP = "app"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What we know of one provider error code and do about it.

    Rules are data: the same rule serves a refused call and a failed status.
    """

    code: str
    outcome: Outcome  # REJECTED, RETRY or THROTTLED
    scope: Scope
    title: str  # short meaning, for people
    advice: str  # what staff should do, one sentence
    wait_seconds: int | None = None  # pause of the scope (THROTTLED) or first wait (RETRY)
    max_attempts: int | None = None  # fewer charged attempts than the message allows
    stop: str = ""  # why the scope stands still: credentials, billing, policy, registration
    campaign: bool = False  # an everyday result of marketing, never an operational failure
    opt_out: bool = False  # the person has stopped marketing messages


@dataclass(frozen=True, slots=True)
class Sender:
    """The phone number that sends, and the credentials it sends with."""

    phone_number_id: str
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message ready for one call."""

    key: str  # ours; comes back in the Result
    sender: Sender
    to: str = field(repr=False)  # E.164 with +, or a BSUID
    to_is_bsuid: bool
    kind: str  # the Cloud API message type: template, text, image, …
    payload: Any = field(repr=False)  # what stands under that type's name
    reply_to: str  # wamid to quote, or ""
    callback_data: str  # echoed in every status (biz_opaque_callback_data)
    deadline: float  # steady_seconds() after which the call must not start


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one call; never holds a token, body or phone number."""

    key: str
    outcome: Outcome
    provider_message_id: str = ""
    error_code: str = ""  # Meta's code, or one of ours: TIMEOUT, CONNECTION, DEADLINE, PAYLOAD, …
    error_message: str = ""
    rule: ErrorRule | None = None  # the table's row, when a code was recognised or mapped
    retry_after_seconds: float | None = None  # what the provider asked for, if it did
    http_status: int | None = None
    duration_ms: int = 0
    trace_id: str = ""  # fbtrace_id, for Meta's support
    excerpt: str = ""  # redacted start of an answer we could not understand, bounded


@dataclass(frozen=True, slots=True)
class Receipt:
    """One status event about a message we may have sent."""

    provider_message_id: str
    status: str  # sent, delivered, read, played, failed, or a word we do not know
    at: datetime  # event time, aware UTC, whole seconds
    phone_number_id: str
    account_id: str
    callback_data: str = ""
    error_code: str = ""
    error_message: str = ""
    rule: ErrorRule | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message a person sent to one of our numbers."""

    provider_message_id: str
    at: datetime
    phone_number_id: str
    account_id: str
    phone: str = field(repr=False)  # E.164 with +, or "" when the person hides it
    bsuid: str = field(repr=False)
    kind: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event we keep but do not act on, or one we could not read (error set)."""

    topic: str  # the webhook field it came under
    phone_number_id: str
    account_id: str
    error: str = ""
    raw: Any = field(default=None, repr=False)


Event = Receipt | Inbound | Unhandled


class Provider(Protocol):
    """A way to send, many calls at once; never raises for a single message.

    One thread owns it; only ``wake`` may be called by others.
    """

    @property
    def in_flight(self) -> int:
        """Return how many messages were started whose result was not given back."""
        ...

    def start(self, batch: Sequence[Outgoing]) -> None:
        """Begin a call for each, without waiting."""
        ...

    def finished(self, wait: float) -> list[Result]:
        """Return what has come in, each key once, waiting up to ``wait`` seconds for the first."""
        ...

    def wake(self) -> None:
        """Make a waiting ``finished`` return at once."""
        ...

    def close(self) -> None:
        """Let go of connections and threads; calls in flight are given up."""
        ...
