"""What every provider takes and returns: plain data, without Django."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
    UTILITY = "utility"  # the utility templates of an account, each by itself
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
    longest_wait_seconds: int | None = None  # a pause that follows on its like doubles up to this
    lowers_rate: bool = False  # the number's throughput was reached: it goes slower for a while
    max_attempts: int | None = None  # fewer charged attempts than the message allows
    stop: str = ""  # why the scope stands still: credentials, billing, policy, registration
    campaign: bool = False  # an everyday result of marketing, never an operational failure
    opt_out: bool = False  # the person has stopped marketing messages
    undeliverable: bool = False  # the person may not be reachable: several make a suspect


@dataclass(frozen=True, slots=True)
class Sender:
    """The phone number that sends, and the credentials it sends with."""

    phone_number_id: str
    access_token: str = field(repr=False)


@dataclass(slots=True)  # not frozen: that would make each of its many fields slow to set
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
    start_at: float = 0.0  # steady_seconds() of its start slot; the call begins then, not before


@dataclass(slots=True)  # as above
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
    # By the clock on the wall, nanoseconds since 1970; 0: nobody looked.
    answered_at: int = field(default=0, compare=False)
    trace_id: str = ""  # fbtrace_id, for Meta's support
    excerpt: str = ""  # redacted start of an answer we could not understand, bounded

    def without_person(self) -> Result:
        """Return what may be kept of an erased person; Meta's ids hold the phone number."""
        return replace(self, provider_message_id="", error_message="", trace_id="", excerpt="")


@dataclass(slots=True)  # not frozen: that would make each of its many fields slow to set
class Receipt:
    """One status event about a message we may have sent."""

    provider_message_id: str
    status: str  # sent, delivered, read, played, failed, or a word we do not know
    at: datetime  # event time, aware UTC, whole seconds
    phone_number_id: str
    account_id: str
    callback_data: str = ""
    pricing: str = ""  # model/type/category, such as PMP/regular/marketing
    error_code: str = ""
    error_message: str = ""
    rule: ErrorRule | None = None
    bsuid: str = field(default="", repr=False)  # of the person it went to, if it is told
    phone: str = field(default="", repr=False)  # beside it, E.164 with +
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def without_person(self) -> Receipt:
        """Return what may be kept of an erased person."""
        return replace(self, provider_message_id="", error_message="", bsuid="", phone="")


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
class Preference:
    """What a person set in WhatsApp itself about messages from one of our numbers."""

    at: datetime
    phone_number_id: str
    account_id: str
    phone: str = field(repr=False)  # E.164 with +, or "" when the person hides it
    bsuid: str = field(repr=False)
    value: str  # stop, resume, signup, or a word we do not know
    is_marketing: bool  # else about a category we do not know
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class TemplateNews:
    """What the provider says of one template; None where it says nothing."""

    name: str
    language: str  # as the API writes it: en_US
    template_id: str | None = None
    status: str | None = None
    category: str | None = None
    next_category: str | None = None
    parameter_format: str | None = None
    components: list[Any] | None = None
    quality: str | None = None
    reason: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Return what the template is known by in its account."""
        return self.name, self.language

    def columns(self) -> dict[str, Any]:
        """Return what is said, by name."""
        said = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class NumberNews:
    """What the provider says of one phone number; None where it says nothing."""

    display_phone_number: str
    quality_rating: str | None = None
    verified_name: str | None = None
    throughput_level: str | None = None
    tier: int | None = None  # people its portfolio may reach in 24 hours; 0 for no limit


@dataclass(frozen=True, slots=True)
class AccountNews:
    """What the provider says of the account as a whole."""

    stop: str = ""  # why it stands still: credentials, policy
    until: datetime | None = None  # when the stop ends by itself, if that is known
    may_go_on: bool = False  # a stop may be over: worth asking
    utility_until: datetime | None = None  # utility templates are capped until then
    utility_is_free: bool = False  # that is over
    tier: int | None = None  # people it may reach in 24 hours; 0 for no limit


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the provider tells of an account of ours, its numbers or templates."""

    topic: str  # the webhook field
    event: str  # the provider's word for what happened
    at: datetime
    account_id: str
    digest: str  # the same for the same notice told again
    detail: str = ""  # for people; holds nothing personal
    news: TemplateNews | NumberNews | AccountNews | None = None
    phone_number_id: str = ""
    is_known: bool = True  # else a word we do not know: for people to read
    raw: Any = field(default=None, repr=False)

    @property
    def subject(self) -> str:
        """Return what it is about: a template, a number, or "" for the account."""
        if isinstance(self.news, TemplateNews):
            return "/".join(self.news.key)
        return self.news.display_phone_number if isinstance(self.news, NumberNews) else ""


@dataclass(frozen=True, slots=True)
class NumberError:
    """Trouble of a phone number that is about no message in particular."""

    phone_number_id: str
    account_id: str
    error_code: str
    error_message: str
    rule: ErrorRule | None
    raw: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An event we keep but do not act on, or one we could not read (error set)."""

    topic: str  # the webhook field it came under
    phone_number_id: str
    account_id: str
    error: str = ""
    raw: Any = field(default=None, repr=False)
    is_erased: bool = False  # emptied, because it was about somebody who was erased


Event = Receipt | Inbound | Preference | Notice | NumberError | Unhandled


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
