"""A small HTTP/1.1 server: keep-alive, one request at a time per connection, all bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 5 * 1024 * 1024

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
}


@dataclass(slots=True)
class Request:
    """One request, read in full."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in small letters
    body: bytes = field(repr=False)

    def parameter(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return parse_qs(self.query).get(name, [default])[0]


class Connection(asyncio.Protocol):
    """Reads requests and lets the handler answer each when it likes."""

    def __init__(self, handler: Callable[[Request, Connection], None]) -> None:
        self._handler = handler
        self._buffer = bytearray()
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the transport; answers after this go nowhere."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Gather bytes and take the next request when the last one is answered."""
        self._buffer += data
        if len(self._buffer) > LARGEST_BODY + LARGEST_HEAD:
            self.answer(413, b"", close=True)
        elif not self._busy:
            self._take()

    def answer(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        """Answer the request in hand; then the next one is read."""
        if self._transport is None:
            return
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%s\r\n" % (
            status,
            _REASONS.get(status, b"Unknown"),
            content_type.encode(),
            len(body),
            extra.encode(),
            b"Connection: close\r\n" if close else b"",
        )
        self._transport.write(head + body)
        if close:
            self._transport.close()
            return
        self._busy = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._take)

    def drop(self) -> None:
        """Break the connection without an answer."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> None:
        if self._busy:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > LARGEST_HEAD:
                self.answer(413, b"", close=True)
            return
        try:
            request, used = _parse(self._buffer, end)
        except ValueError:
            self.answer(400, b"", close=True)
            return
        if used > LARGEST_BODY + LARGEST_HEAD:
            self.answer(413, b"", close=True)
            return
        if request is None:
            return
        del self._buffer[:used]
        self._busy = True
        self._handler(request, self)


def _parse(buffer: bytearray, end: int) -> tuple[Request | None, int]:
    """Return the request and how many bytes it took; None while its body is incomplete.

    Raises ValueError when it is not HTTP.
    """
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError
        headers[name.lower()] = value.strip()
    begin = end + 4
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body, used = _chunked(buffer, begin)
    else:
        length = int(headers.get("content-length", "0"))
        if length < 0:
            raise ValueError
        used = begin + length
        body = bytes(buffer[begin:used]) if len(buffer) >= used else None
    if body is None:
        return None, used
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, headers, body), used


def _chunked(buffer: bytearray, position: int) -> tuple[bytes | None, int]:
    body = bytearray()
    while True:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None, position
        size = int(bytes(buffer[position:line_end]).split(b";")[0], 16)
        if size < 0 or len(body) + size > LARGEST_BODY:
            raise ValueError
        position = line_end + 2
        if len(buffer) < position + size + 2:
            return None, position
        if size == 0:
            return bytes(body), position + 2
        body += buffer[position : position + size]
        position += size + 2
