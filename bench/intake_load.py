"""Posts messages over kept connections, as cheaply as Python can. Prints its figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from bench import http_load
from bench.http_load import Client

TEMPLATE = (
    '"type":"template","category":"utility","template":{"name":"order_update","language":"en_US",'
    '"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"},'
    '{"type":"text","text":"#1042"}]}]}'
)
FIRST_PHONE = 2_000_000


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
    path = urlsplit(options.url).path
    clients = [
        Client(options.url, _requests(options, f"{run}-{n}", path)) for n in range(options.threads)
    ]
    figures = http_load.measure(clients, options.seconds)
    figures["messages_per_second"] = figures["requests_per_second"] * max(1, options.batch)
    figures["load_cpu_s_per_1000"] /= max(1, options.batch)
    print(json.dumps(figures))


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


if __name__ == "__main__":
    main()
