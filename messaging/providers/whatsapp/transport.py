"""One POST over a kept connection, and the only question that matters: did it leave us?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from messaging.providers.base import steady_seconds

# More of an answer is not read; Meta's are a few hundred bytes.
LARGEST_ANSWER = 256 * 1024
CHUNK = 16 * 1024


class NotSent(Exception):  # noqa: N818 - an outcome, not a fault
    """The request never left: name resolution, connection or TLS failed."""


class AnswerLost(Exception):  # noqa: N818 - an outcome, not a fault
    """The request may have arrived, but its answer did not."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    truncated: bool = False


class Transport(Protocol):
    """A way to make the call; safe to use from many threads."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once, never again by itself; raise NotSent or AnswerLost."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class RequestsTransport:
    """requests, with the adapter called directly: its session costs more than the call."""

    def __init__(self, *, concurrency: int, connect_timeout: float, read_timeout: float) -> None:
        self._adapter = HTTPAdapter(
            pool_connections=4, pool_maxsize=concurrency, max_retries=0, pool_block=False
        )
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once; time-outs are per step, and the answer as a whole has the read time-out."""
        request = requests.Request("POST", url, data=body, headers=dict(headers)).prepare()
        try:
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(self._connect_timeout, self._read_timeout),
                verify=True,
            )
        except exceptions.RequestException as error:
            raise _lost_or_not_sent(error) from error
        try:
            return self._read(response)
        finally:
            response.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()

    def _read(self, response: requests.Response) -> Answer:
        """Read the body within its bounds of size and time."""
        end = steady_seconds() + self._read_timeout
        parts: list[bytes] = []
        size = 0
        try:
            # read1 returns what is there; waiting for whole chunks, a dripping answer would
            # never come to the check of the time.
            while part := response.raw.read1(CHUNK, decode_content=True):
                parts.append(part)
                size += len(part)
                if size > LARGEST_ANSWER:
                    break
                if steady_seconds() > end:
                    message = "The answer came too slowly."
                    raise AnswerLost("TIMEOUT", message)
        except (HTTPError, OSError) as error:
            message = "The connection broke while the answer was read."
            raise AnswerLost("CONNECTION_LOST", message) from error
        body = b"".join(parts)
        return Answer(
            response.status_code,
            response.headers,
            body[:LARGEST_ANSWER],
            truncated=size > LARGEST_ANSWER,
        )


def _lost_or_not_sent(error: exceptions.RequestException) -> NotSent | AnswerLost:
    """Tell a request that never left from one that may have arrived; in doubt, the latter."""
    if isinstance(error, exceptions.ConnectTimeout | exceptions.SSLError):
        return NotSent("No connection to the provider.")
    if isinstance(error, exceptions.ReadTimeout):
        return AnswerLost("TIMEOUT", "The answer did not come in time.")
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_left = (NewConnectionError, NameResolutionError, ConnectTimeoutError, SSLError)
    if isinstance(reason, never_left):
        return NotSent("No connection to the provider.")
    return AnswerLost("CONNECTION_LOST", "The connection broke before the answer came.")
