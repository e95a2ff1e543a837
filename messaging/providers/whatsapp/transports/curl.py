"""libcurl's multi interface: one thread, hundreds of calls in flight."""

from __future__ import annotations

import os
import selectors
from collections.abc import Mapping

import certifi
import pycurl

from messaging.providers.base import CONNECTION, steady_seconds
from messaging.providers.whatsapp.transports.base import (
    CONNECTION_LOST,
    LARGEST_ANSWER,
    TIMEOUT,
    TOO_LATE,
    Answer,
    Call,
    Ending,
    Failure,
)

# A kept connection that was idle for longer is not used again, seconds: the other side may
# be closing it this moment, and a call lost that way waits minutes for evidence.
LONGEST_IDLE_SECONDS = 50

_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class CurlTransport:
    """Driven by the sockets that are ready, so that a thousand waiting calls cost nothing."""

    def __init__(
        self,
        *,
        concurrency: int,
        connect_timeout: float,
        read_timeout: float,
        ca_file: str | None = None,
    ) -> None:
        self._options: dict[int, int | str] = {
            pycurl.CONNECTTIMEOUT_MS: int(connect_timeout * 1000),
            pycurl.TIMEOUT_MS: int((connect_timeout + read_timeout) * 1000),
            pycurl.CAINFO: ca_file or certifi.where(),
        }
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, concurrency)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._timer_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = os.pipe()
        for end in (self._bell, self._rope):
            os.set_blocking(end, False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._idle: list[_Handle] = []
        self._flying: dict[pycurl.Curl, _Handle] = {}
        self._ended: list[Ending] = []

    @property
    def in_flight(self) -> int:
        """Return how many calls have been started and not given back."""
        return len(self._flying) + len(self._ended)

    def start(self, call: Call) -> None:
        """Begin the call at once; libcurl opens or reuses a connection."""
        if steady_seconds() >= call.deadline:
            self._ended.append(Ending(call.key, TOO_LATE, 0.0))
            return
        handle = self._idle.pop() if self._idle else _Handle(self._options)
        handle.load(call)
        self._flying[handle.curl] = handle
        self._multi.add_handle(handle.curl)

    def finished(self, wait: float) -> list[Ending]:
        """Return the calls that have ended, waiting up to ``wait`` seconds for the first."""
        end = steady_seconds() + wait
        while True:
            woken = self._turn(end)
            self._reap()
            if self._ended or woken or steady_seconds() >= end:
                ended, self._ended = self._ended, []
                return ended

    def wake(self) -> None:
        """Make a waiting ``finished`` return at once."""
        try:
            os.write(self._rope, b"!")
        except BlockingIOError:
            return  # the pipe is full of earlier calls to wake up

    def close(self) -> None:
        """Close the connections; calls in flight are given up."""
        for curl, handle in self._flying.items():
            self._multi.remove_handle(curl)
            handle.curl.close()
        for handle in self._idle:
            handle.curl.close()
        self._flying, self._idle = {}, []
        self._multi.close()
        self._selector.close()
        os.close(self._bell)
        os.close(self._rope)

    def _turn(self, end: float) -> bool:
        """Let libcurl do what can be done now; say whether somebody rang."""
        until = end if self._timer_at is None else min(end, self._timer_at)
        wait = 0.0 if self._ended else max(0.0, until - steady_seconds())
        woken = False
        for key, ready in self._selector.select(wait):
            if key.fd == self._bell:
                woken = bool(os.read(self._bell, 4096))
                continue
            mask = pycurl.CSELECT_IN if ready & selectors.EVENT_READ else 0
            mask |= pycurl.CSELECT_OUT if ready & selectors.EVENT_WRITE else 0
            self._multi.socket_action(key.fd, mask)
        if self._timer_at is not None and steady_seconds() >= self._timer_at:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return woken

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """Follow libcurl's wish to hear of a socket (its socket callback)."""
        known = self._selector.get_map().get(fd) is not None
        if what == pycurl.POLL_REMOVE:
            if known:
                self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, _EVENTS[what])
        else:
            self._selector.register(fd, _EVENTS[what])

    def _set_timer(self, milliseconds: int) -> None:
        """Follow libcurl's wish to be called after a while (its timer callback)."""
        self._timer_at = None if milliseconds < 0 else steady_seconds() + milliseconds / 1000

    def _reap(self) -> None:
        more = True
        while more:
            queued, good, bad = self._multi.info_read()
            for curl in good:
                self._end(curl, 0)
            for curl, code, _text in bad:
                self._end(curl, code)
            more = queued > 0

    def _end(self, curl: pycurl.Curl, code: int) -> None:
        handle = self._flying.pop(curl)
        self._multi.remove_handle(curl)
        self._ended.append(handle.ending(code))
        self._idle.append(handle)


class _Handle:
    """One of libcurl's handles, used again and again, and the call it carries."""

    def __init__(self, options: Mapping[int, int | str]) -> None:
        self.curl = pycurl.Curl()
        self._headers: Mapping[str, str] | None = None
        self._url = ""
        self._sent = self._size = 0
        self._key, self._body, self._begun = "", b"", 0.0
        self._received: list[bytes] = []
        self._lines: list[bytes] = []
        for option, value in options.items():
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.NOSIGNAL, 1)
        self.curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        self.curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        self.curl.setopt(pycurl.PROXY, "")  # as with requests: none from the environment
        self.curl.setopt(pycurl.MAXAGE_CONN, LONGEST_IDLE_SECONDS)
        self.curl.setopt(pycurl.TCP_NODELAY, 1)
        self.curl.setopt(pycurl.POST, 1)
        # The body comes by a callback that cannot be rewound. From a buffer libcurl would
        # send it again by itself when a kept connection breaks, and a person might get the
        # message twice.
        self.curl.setopt(pycurl.READFUNCTION, self._give)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._take)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines_append)

    def load(self, call: Call) -> None:
        """Make the handle ready for a call."""
        self._key, self._body = call.key, call.body
        self._sent = self._size = 0
        self._received, self._lines = [], []
        if call.url != self._url:
            self._url = call.url
            self.curl.setopt(pycurl.URL, call.url)
        if call.headers is not self._headers:
            self._headers = call.headers
            lines = [f"{name}: {value}" for name, value in call.headers.items()]
            self.curl.setopt(pycurl.HTTPHEADER, [*lines, "Expect:"])
        self.curl.setopt(pycurl.POSTFIELDSIZE, len(call.body))
        self._begun = steady_seconds()

    def ending(self, code: int) -> Ending:
        """Return how the call ended."""
        outcome = self._outcome(code)
        self._received, self._body = [], b""
        return Ending(self._key, outcome, steady_seconds() - self._begun)

    def _outcome(self, code: int) -> Answer | Failure:
        truncated = self._size > LARGEST_ANSWER
        if code == 0 or truncated:
            body = b"".join(self._received)[:LARGEST_ANSWER]
            status = self.curl.getinfo(pycurl.RESPONSE_CODE)
            return Answer(int(status), _parsed(self._lines), body, truncated=truncated)
        if not self._sent:
            # Not a byte of the body was asked for, so nobody can have it.
            return Failure(CONNECTION, "No connection to the provider.", may_have_arrived=False)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return Failure(TIMEOUT, "The answer did not come in time.", may_have_arrived=True)
        text = "The connection broke before the answer came."
        return Failure(CONNECTION_LOST, text, may_have_arrived=True)

    def _give(self, size: int) -> bytes:
        part = self._body[self._sent : self._sent + size]
        self._sent += len(part)
        return part

    def _take(self, part: bytes) -> int:
        self._received.append(part)
        self._size += len(part)
        # Anything but the length of the part makes libcurl break off.
        return len(part) if self._size <= LARGEST_ANSWER else 0

    def _lines_append(self, line: bytes) -> None:
        self._lines.append(line)


def _parsed(lines: list[bytes]) -> dict[str, str]:
    """Return the headers of the last answer (an interim one may have come before)."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
        elif name.startswith("HTTP/"):
            headers = {}
    return headers
