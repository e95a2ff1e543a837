"""Posts the statuses of messages until each is answered 200, as Meta does. Prints figures as JSON.

Reads lines of a message's id and its phone_number_id.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from bench import http_load, webhook_bodies
from messaging.providers.whatsapp import callback

WORDS = ("sent", "delivered", "read")
PAUSE_SECONDS = 0.1  # before a repeat

Status = tuple[str, str, str]  # the message's id, the number's, the word


class Poster:
    """One connection at a time; what was not answered 200 is posted again."""

    def __init__(self, url: str, secret: str, statuses: Iterator[Status]) -> None:
        self.url, self.secret = url, secret
        self.statuses = statuses
        self.connection: socket.socket | None = None
        self.answered: list[Status] = []
        self.repeats = 0

    def work(self, end: float) -> None:
        """Post one status after the other until the end."""
        path = urlsplit(self.url).path
        for message, number, word in self.statuses:
            ours = callback.encode("outbound", message, 1)
            status = webhook_bodies.status(f"wamid.{message}", word, ours)
            request = webhook_bodies.signed(
                path, self.secret, webhook_bodies.body([status], number)
            )
            while not self._post(request):
                self.repeats += 1
                _never.wait(PAUSE_SECONDS)
            self.answered.append((message, number, word))
            if time.monotonic() >= end:
                return

    def _post(self, request: bytes) -> bool:
        try:
            if self.connection is None:
                self.connection = http_load.connect(self.url)
            self.connection.sendall(request)
            status, _body = http_load.answer(self.connection)
        except OSError:
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return False
        return status == 200


_never = threading.Event()  # never set: only waited for


def main() -> None:
    """Post until the time is over, then until the last ones are answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    messages = [(first, second) for first, second in (line.split() for line in sys.stdin)]
    posters = [
        Poster(options.url, options.secret, _every(messages, place, options.threads))
        for place in range(options.threads)
    ]
    begun = time.monotonic()
    threads = [
        threading.Thread(target=poster.work, args=(begun + options.seconds,)) for poster in posters
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = [(message, word) for poster in posters for message, _number, word in poster.answered]
    print(
        json.dumps(
            {
                "seconds": time.monotonic() - begun,
                "repeats": sum(poster.repeats for poster in posters),
                "answered": answered,
            }
        )
    )


def _every(messages: Sequence[tuple[str, str]], first: int, step: int) -> Iterator[Status]:
    """Yield one status in so many, of one message after the other."""
    for place in range(first, len(messages) * len(WORDS), step):
        message, number = messages[place // len(WORDS)]
        yield message, number, WORDS[place % len(WORDS)]


if __name__ == "__main__":
    main()
