"""What a transport takes and gives, and the only question that matters: did the call leave us?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

# More of an answer is not read; Meta's are a few hundred bytes.
LARGEST_ANSWER = 256 * 1024

TIMEOUT = "TIMEOUT"
CONNECTION_LOST = "CONNECTION_LOST"
DEADLINE = "DEADLINE"
UNFORESEEN = "UNFORESEEN"


@dataclass(slots=True)  # not frozen, here and below: fields are slow to set then
class Call:
    """One POST."""

    key: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    deadline: float  # steady_seconds() after which it must not start


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came."""

    code: str
    text: str
    may_have_arrived: bool  # in doubt: True


@dataclass(slots=True)
class Ending:
    """How a call ended."""

    key: str
    outcome: Answer | Failure
    seconds: float  # from the start of the call


class Transport(Protocol):
    """Many calls in flight; one thread owns it, and only ``wake`` may come from others."""

    @property
    def in_flight(self) -> int:
        """Return how many calls have been started and not given back."""
        ...

    def start(self, call: Call) -> None:
        """Begin a call, once, without waiting for anything."""
        ...

    def finished(self, wait: float) -> list[Ending]:
        """Return the calls that have ended, waiting up to ``wait`` seconds for the first."""
        ...

    def wake(self) -> None:
        """Make a waiting ``finished`` return at once."""
        ...

    def close(self) -> None:
        """Close the connections; calls in flight are given up."""
        ...


TOO_LATE = Failure(DEADLINE, "Its turn came too late in the claim.", may_have_arrived=False)
