"""Posting webhooks: kept connections, a bounded queue, repeated until answered with 200."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

CONNECTIONS = 16
LONGEST_QUEUE = 200_000
# Waits before a delivery is repeated, seconds; after the last it is given up.
REPEAT_AFTER = (0.5, 1.0, 2.0, 4.0, 8.0)
ANSWER_SECONDS = 15.0
RECONNECT_SECONDS = 0.3


@dataclass(slots=True)
class Delivery:
    """One POST and how often it was tried."""

    url: str
    body: bytes
    signature: str
    tries: int = 0


class Poster:
    """Takes deliveries and posts them in the background."""

    def __init__(self) -> None:
        self.posted = 0
        self.failed = 0  # given up
        self.repeated = 0
        self.dropped = 0  # the queue was full
        self._queue: deque[Delivery] = deque()
        self._idle: list[_Line] = []
        self._lines = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Return how many deliveries wait."""
        return len(self._queue)

    def post(self, delivery: Delivery) -> None:
        """Queue a delivery, or count it as dropped when the queue is full."""
        if len(self._queue) >= LONGEST_QUEUE:
            self.dropped += 1
            return
        self._queue.append(delivery)
        self._serve()

    def close(self) -> None:
        """Close the connections."""
        for line in self._idle:
            line.close()

    def _serve(self) -> None:
        while self._queue:
            delivery = self._queue[0]
            line = next((line for line in self._idle if line.url == delivery.url), None)
            if line is None:
                if self._lines < CONNECTIONS:
                    self._connect(delivery.url)
                return
            self._queue.popleft()
            self._idle.remove(line)
            line.send(delivery)

    def _connect(self, url: str) -> None:
        self._lines += 1
        task = asyncio.get_running_loop().create_task(self._open(url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: _Line(url, self._ready, self._answered, self._lost),
                parts.hostname or "",
                port,
                ssl=True if secure else None,
            )
        except OSError:
            self._lines -= 1
            for _ in range(len(self._queue)):
                delivery = self._queue.popleft()
                if delivery.url == url:
                    self._again(delivery)
                else:
                    self._queue.append(delivery)

    def _ready(self, line: _Line) -> None:
        self._idle.append(line)
        self._serve()

    def _answered(self, line: _Line, delivery: Delivery, status: int, *, reusable: bool) -> None:
        if status == 200:
            self.posted += 1
        else:
            self._again(delivery)
        if reusable:
            self._ready(line)
        else:
            line.close()

    def _lost(self, line: _Line, delivery: Delivery | None) -> None:
        self._lines -= 1
        if line in self._idle:
            self._idle.remove(line)
        if delivery is not None:
            self._again(delivery)

    def _again(self, delivery: Delivery) -> None:
        if delivery.tries >= len(REPEAT_AFTER):
            self.failed += 1
            return
        wait = REPEAT_AFTER[delivery.tries]
        delivery.tries += 1
        self.repeated += 1
        asyncio.get_running_loop().call_later(wait, self.post, delivery)


class _Answered(Protocol):
    def __call__(self, line: _Line, delivery: Delivery, status: int, *, reusable: bool) -> None: ...


class _Line(asyncio.Protocol):
    """One connection to the receiver; posts one delivery at a time."""

    def __init__(
        self,
        url: str,
        ready: Callable[[_Line], None],
        answered: _Answered,
        lost: Callable[[_Line, Delivery | None], None],
    ) -> None:
        self.url = url
        self._ready, self._answered, self._lost = ready, answered, lost
        self._buffer = bytearray()
        self._delivery: Delivery | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: facebookexternalua\r\n"
            "Accept: */*\r\nContent-Type: application/json\r\n"
        ).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say that there is a free line."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._ready(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Hand the unanswered delivery back."""
        delivery, self._delivery = self._delivery, None
        self._transport = None
        if self._timer:
            self._timer.cancel()
        self._lost(self, delivery)

    def send(self, delivery: Delivery) -> None:
        """Post it."""
        self._delivery = delivery
        if self._transport is None:
            return
        self._transport.write(
            b"%sX-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (self._head, delivery.signature.encode(), len(delivery.body), delivery.body)
        )
        self._timer = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self.close)

    def close(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read the status of the answer; its body is of no interest."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(self._buffer) < end + 4 + length:
            return
        status = int(head[9:12])
        del self._buffer[: end + 4 + length]
        delivery, self._delivery = self._delivery, None
        if self._timer:
            self._timer.cancel()
        if delivery is None:
            return
        self._answered(self, delivery, status, reusable=b"connection: close" not in head)
