"""Single commands to Redis over redis-py's connections, without what its client adds to each.

For every command the client takes a connection from its pool, asks the operating system
whether it is still good, packs argument by argument and wraps the call in retries and
observation: together more than the limits' script costs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from redis import Redis
from redis.connection import Connection
from redis.exceptions import ResponseError

# A connection that rested for longer may have been closed by the server meanwhile.
FRESH_SECONDS = 1.0


class Wire:
    """Keeps the connections it has had from the client's pool; for any number of threads."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        # Connections nobody uses, and since when; taking and giving one is atomic.
        self._resting: list[tuple[Connection, float]] = []

    def call(self, parts: Sequence[bytes]) -> Any:
        """Send one command of parts from ``packed`` and return its answer; nothing is retried."""
        connection = self._take()
        try:
            command = [b"*%d\r\n%b" % (len(parts), b"".join(parts))]
            connection.send_packed_command(command, check_health=False)  # type: ignore[no-untyped-call]  # redis-py types it in part
            answer = connection.read_response()
        except ResponseError:
            self._resting.append((connection, monotonic()))  # it was read to its end
            raise
        except BaseException:
            # The answer may still come: nobody must take it for that of another command.
            connection.disconnect()  # type: ignore[no-untyped-call]  # as above
            self._pool.release(connection)
            self._distrust()
            raise
        self._resting.append((connection, monotonic()))
        return answer

    def _take(self) -> Connection:
        """Return a connection to use; the one used last, which is most likely good."""
        try:
            connection, since = self._resting.pop()
        except IndexError:
            return self._pool.get_connection()
        if connection.pid != os.getpid():
            # A fork took it along; the parent goes on using it. The pool forgot it by itself.
            self._resting.clear()
            return self._pool.get_connection()
        if monotonic() - since > FRESH_SECONDS:
            self._pool.release(connection)
            return self._pool.get_connection()  # which tests it
        return connection

    def _distrust(self) -> None:
        """Have every connection tested before it is used: one has just failed."""
        with suppress(IndexError):
            while True:
                connection, _since = self._resting.pop()
                self._pool.release(connection)


def packed(part: str | bytes | int) -> bytes:
    """Return a part of a command as it goes over the wire."""
    data = part if isinstance(part, bytes) else str(part).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
