"""Posts signed status webhooks over kept connections. Prints its figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
from urllib.parse import urlsplit

from bench import http_load, webhook_bodies
from bench.http_load import Client


def main() -> None:
    """Post until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--statuses", type=int, default=1, help="in one request")
    parser.add_argument("--per-second", type=float, default=0, help="requests; 0: all it takes")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    run, path = os.urandom(4).hex(), urlsplit(options.url).path
    clients = [
        Client(
            options.url,
            webhook_bodies.requests(path, options.secret, f"{run}-{n}", options.statuses),
        )
        for n in range(options.threads)
    ]
    figures = http_load.measure(clients, options.seconds, per_second=options.per_second)
    figures["statuses_per_second"] = figures["requests_per_second"] * options.statuses
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
