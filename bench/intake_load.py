"""Posts messages over kept connections, as cheaply as Python can. Prints its figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

TEMPLATE = (
    '"type":"template","category":"utility","template":{"name":"order_update","language":"en_US",'
    '"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"},'
    '{"type":"text","text":"#1042"}]}]}'
)
FIRST_PHONE = 2_000_000
WARM_SECONDS = 2.0


def message(place: int, people: int, *, key: str = "") -> str:
    """Return the body of one message."""
    phone = f"+1202{FIRST_PHONE + place % people}"
    own_key = f',"idempotency_key":"{key}"' if key else ""
    return f'{{"to":"{phone}","from":"200000000000001",{TEMPLATE}{own_key}}}'


def main() -> None:
    """Post until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--key", required=True)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=0, help="messages in a request; 0: single")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    run = os.urandom(4).hex()
    clients = [_Client(options, f"{run}-{n}") for n in range(options.threads)]
    _all(clients, WARM_SECONDS)
    for client in clients:
        client.times.clear()
        client.failed = 0
    begun, used = time.monotonic(), time.process_time()
    _all(clients, options.seconds)
    elapsed, cpu = time.monotonic() - begun, time.process_time() - used
    times = sorted(one for client in clients for one in client.times)
    messages = len(times) * max(1, options.batch)
    print(
        json.dumps(
            {
                "requests_per_second": len(times) / elapsed,
                "messages_per_second": messages / elapsed,
                "answer_p50_ms": times[len(times) // 2] * 1000,
                "answer_p99_ms": times[len(times) * 99 // 100] * 1000,
                "failed": sum(client.failed for client in clients),
                "load_cpu_s_per_1000": cpu * 1000 / messages,
            }
        )
    )


class _Client:
    """One kept connection and the requests that go over it."""

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        address = urlsplit(options.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.times: list[float] = []
        self.failed = 0
        self.requests = _requests(options, name, address.path)

    def work(self, end: float) -> None:
        """Post until the end."""
        while time.monotonic() < end:
            request = next(self.requests)
            begun = time.monotonic()
            self.socket.sendall(request)
            status, body = _answer(self.socket)
            self.times.append(time.monotonic() - begun)
            self.failed += status >= 300 or b'"status":4' in body


def _requests(options: argparse.Namespace, name: str, path: str) -> Iterator[bytes]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {options.key}\r\n"
    )
    number = 0
    start = int.from_bytes(os.urandom(3))
    while True:
        number += 1
        if options.batch:
            first = start + number * options.batch
            items = (
                message(first + n, options.people, key=f"{name}-{number}-{n}")
                for n in range(options.batch)
            )
            body = f'{{"messages":[{",".join(items)}]}}'
            key = ""
        else:
            body = message(start + number, options.people)
            key = f"Idempotency-Key: {name}-{number}\r\n"
        yield f"{head}{key}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    parts, left = [body], int(rest.split(b"\r\n", 1)[0]) - len(body)
    while left > 0:
        parts.append(connection.recv(1 << 20))
        left -= len(parts[-1])
    return int(head[9:12]), b"".join(parts)


def _all(clients: list[_Client], seconds: float) -> None:
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=client.work, args=(end,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
