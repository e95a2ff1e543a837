"""The bare limit: the engine's transport with nothing else. Prints its figures as JSON."""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from collections.abc import Iterator

from bench.installation import NUMBERS
from messaging.providers.base import steady_seconds
from messaging.providers.whatsapp.provider import TRANSPORTS
from messaging.providers.whatsapp.transports.base import Call, Transport

BODY = (
    b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"+12022000001",'
    b'"type":"template","template":{"name":"order_update","language":{"code":"en_US"},'
    b'"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"},'
    b'{"type":"text","text":"#1042"}]}]},"biz_opaque_callback_data":"bare"}'
)
HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
WARM_SECONDS = 2.0


def main() -> None:
    """Send until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("--transport", default="curl", choices=sorted(TRANSPORTS))
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    transport = TRANSPORTS[options.transport](
        concurrency=options.concurrency, connect_timeout=5.0, read_timeout=30.0
    )
    keys = itertools.count()
    urls = [f"{options.base_url}/v25.0/{number}/messages" for number in NUMBERS]
    _send(transport, keys, urls, options.concurrency, WARM_SECONDS)
    begun, used = time.monotonic(), time.process_time()
    count = _send(transport, keys, urls, options.concurrency, options.seconds)
    elapsed, cpu = time.monotonic() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "messages_per_second": count / elapsed,
                "sender_cpu_s_per_1000": cpu * 1000 / count,
                "sender_memory_peak_mib": peak,
            }
        )
    )


def _send(
    transport: Transport, keys: Iterator[int], urls: list[str], most: int, seconds: float
) -> int:
    """Keep ``most`` calls in flight; return how many were answered with success."""
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        while transport.in_flight < most:
            key = next(keys)
            url = urls[key % len(urls)]
            transport.start(Call(str(key), url, HEADERS, BODY, steady_seconds() + 60))
        for ending in transport.finished(0.5):
            count += getattr(ending.outcome, "status", 0) == 200
    return count


if __name__ == "__main__":
    main()
