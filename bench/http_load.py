"""Posts over kept connections, as cheaply as Python can, and what that showed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

WARM_SECONDS = 2.0

_never = threading.Event()  # never set: only waited for


class Client:
    """One kept connection and the requests that go over it."""

    def __init__(self, url: str, requests: Iterator[bytes]) -> None:
        self.socket = connect(url)
        self.requests = requests
        self.times: list[float] = []
        self.failed = 0

    def work(self, end: float, every: float) -> None:
        """Post until the end, one request in ``every`` seconds; 0: as fast as it is answered."""
        turn = time.monotonic()
        while turn < end:
            _never.wait(max(0.0, turn - time.monotonic()))
            begun = turn if every else time.monotonic()  # waiting for one's turn counts too
            self.socket.sendall(next(self.requests))
            status, body = answer(self.socket)
            self.times.append(time.monotonic() - begun)
            self.failed += status >= 300 or b'"status":4' in body
            turn = turn + every if every else time.monotonic()


def measure(
    clients: Sequence[Client], seconds: float, *, per_second: float = 0
) -> dict[str, float]:
    """Warm up, post, and return rate and times of the answers.

    ``per_second`` holds the load at so many requests; 0: as many as are answered.
    """
    every = len(clients) / per_second if per_second else 0.0
    _all(clients, WARM_SECONDS, every)
    for client in clients:
        client.times.clear()
        client.failed = 0
    begun, used = time.monotonic(), time.process_time()
    _all(clients, seconds, every)
    elapsed, cpu = time.monotonic() - begun, time.process_time() - used
    times = sorted(one for client in clients for one in client.times)
    return {
        "requests_per_second": len(times) / elapsed,
        "answer_p50_ms": times[len(times) // 2] * 1000,
        "answer_p99_ms": times[len(times) * 99 // 100] * 1000,
        "failed": sum(client.failed for client in clients),
        "load_cpu_s_per_1000": cpu * 1000 / len(times),
    }


def connect(url: str) -> socket.socket:
    """Return a connection to the server of an address."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read the status and body of one answer; raise ConnectionError when it breaks off."""
    data = _more(connection)
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    parts, left = [body], int(rest.split(b"\r\n", 1)[0]) - len(body)
    while left > 0:
        parts.append(_more(connection))
        left -= len(parts[-1])
    return int(head[9:12]), b"".join(parts)


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        message = "The server has closed the connection."
        raise ConnectionError(message)
    return data


def _all(clients: Sequence[Client], seconds: float, every: float) -> None:
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=client.work, args=(end, every)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
