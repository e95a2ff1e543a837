"""requests over a bounded pool of threads."""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

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

from messaging.providers.base import CONNECTION, steady_seconds
from messaging.providers.whatsapp.transports.base import (
    CONNECTION_LOST,
    LARGEST_ANSWER,
    TIMEOUT,
    TOO_LATE,
    UNFORESEEN,
    Answer,
    Call,
    Ending,
    Failure,
)

logger = logging.getLogger(__name__)

CHUNK = 16 * 1024
# Prepared requests that are remembered; a number has one.
MOST_TEMPLATES = 1000


class RequestsTransport:
    """The adapter is called directly: requests' session costs more than the call."""

    def __init__(
        self,
        *,
        concurrency: int,
        connect_timeout: float,
        read_timeout: float,
        ca_file: str | None = None,
    ) -> None:
        self._adapter = HTTPAdapter(
            pool_connections=4, pool_maxsize=concurrency, max_retries=0, pool_block=False
        )
        self._timeouts = (connect_timeout, read_timeout)
        self._verify: bool | str = ca_file or True
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="whatsapp")
        self._longest = connect_timeout + read_timeout
        self._ended: SimpleQueue[tuple[Call, Ending] | None] = SimpleQueue()  # None: woken
        # By identity: a call given up may be followed by one with the same key.
        self._begun: dict[int, tuple[Call, float]] = {}
        self._given_up: dict[int, Call] = {}
        self._in_flight = 0
        self._templates: dict[tuple[object, ...], requests.PreparedRequest] = {}

    @property
    def in_flight(self) -> int:
        """Return how many calls have been started and not given back."""
        return self._in_flight

    def start(self, call: Call) -> None:
        """Hand the call to the pool."""
        self._in_flight += 1
        self._pool.submit(self._run, call)

    def finished(self, wait: float) -> list[Ending]:
        """Return the calls that have ended, waiting up to ``wait`` seconds for the first."""
        wait = min(wait, self._until_first_overdue())
        endings: list[Ending] = []
        try:
            first = self._ended.get(timeout=max(wait, 0.0) or None, block=wait > 0)
            while first is not None:
                call, ending = first
                if self._given_up.pop(id(call), None) is None:
                    endings.append(ending)
                first = self._ended.get_nowait()
        except Empty:
            pass
        endings += self._give_up_overdue()
        self._in_flight -= len(endings)
        return endings

    def wake(self) -> None:
        """Make a waiting ``finished`` return at once."""
        self._ended.put(None)

    def close(self) -> None:
        """Close the connections; calls not begun are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

    def _run(self, call: Call) -> None:
        begun = steady_seconds()
        outcome: Answer | Failure = TOO_LATE
        if begun < call.deadline:
            self._begun[id(call)] = (call, begun)
            try:
                outcome = self._post(call)
            except exceptions.RequestException as error:
                outcome = _failure(error)
            except (HTTPError, OSError):
                text = "The connection broke while the answer was read."
                outcome = Failure(CONNECTION_LOST, text, may_have_arrived=True)
            except Exception as error:
                logger.exception("A call failed in an unforeseen way")
                outcome = Failure(UNFORESEEN, type(error).__name__, may_have_arrived=True)
        self._begun.pop(id(call), None)
        self._ended.put((call, Ending(call.key, outcome, steady_seconds() - begun)))

    def _until_first_overdue(self) -> float:
        """Return how long all calls still have time, seconds; they began in about this order."""
        first = next(iter(list(self._begun.values())), None)
        return math.inf if first is None else first[1] + self._longest - steady_seconds()

    def _give_up_overdue(self) -> list[Ending]:
        """End the calls that have taken all their time, whatever still drips in.

        The time-outs of requests count from one piece to the next, so that headers which come
        byte by byte would keep a call beyond the lease of its message.
        """
        now = steady_seconds()
        endings: list[Ending] = []
        for place, (call, begun) in list(self._begun.items()):
            if now - begun > self._longest and self._begun.pop(place, None) is not None:
                self._given_up[place] = call
                text = "The answer came too slowly."
                failure = Failure(TIMEOUT, text, may_have_arrived=True)
                endings.append(Ending(call.key, failure, now - begun))
        return endings

    def _post(self, call: Call) -> Answer | Failure:
        response = self._adapter.send(
            self._prepared(call), stream=True, timeout=self._timeouts, verify=self._verify
        )
        try:
            return self._read(response)
        finally:
            response.close()

    def _prepared(self, call: Call) -> requests.PreparedRequest:
        """Return the request, copied from an earlier one to the same address where there is one.

        Preparing looks at every part of address and headers, which takes longer than sending.
        """
        key = (call.url, *call.headers.items())
        template = self._templates.get(key)
        if template is None:
            asked = requests.Request("POST", call.url, data=b"{}", headers=dict(call.headers))
            template = asked.prepare()
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        request = template.copy()
        request.body = call.body
        request.headers["Content-Length"] = str(len(call.body))
        return request

    def _read(self, response: requests.Response) -> Answer | Failure:
        """Read the body within its bounds of size and time."""
        end = steady_seconds() + self._timeouts[1]
        parts: list[bytes] = []
        size = 0
        # read1 returns what is there; waiting for whole chunks, a dripping answer would
        # never come to the check of the time.
        while part := response.raw.read1(CHUNK, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER:
                break
            if steady_seconds() > end:
                return Failure(TIMEOUT, "The answer came too slowly.", may_have_arrived=True)
        body = b"".join(parts)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(
            response.status_code, headers, body[:LARGEST_ANSWER], truncated=size > LARGEST_ANSWER
        )


def _failure(error: exceptions.RequestException) -> Failure:
    """Tell a request that never left from one that may have arrived; in doubt, the latter."""
    not_sent = Failure(CONNECTION, "No connection to the provider.", may_have_arrived=False)
    if isinstance(error, exceptions.ConnectTimeout | exceptions.SSLError):
        return not_sent
    if isinstance(error, exceptions.ReadTimeout):
        return Failure(TIMEOUT, "The answer did not come in time.", may_have_arrived=True)
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_left = (NewConnectionError, NameResolutionError, ConnectTimeoutError, SSLError)
    if isinstance(reason, never_left):
        return not_sent
    text = "The connection broke before the answer came."
    return Failure(CONNECTION_LOST, text, may_have_arrived=True)
