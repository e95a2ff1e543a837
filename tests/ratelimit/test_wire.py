"""Single commands over kept connections: a bad connection is never used again."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from ratelimit.stores import wire
from ratelimit.stores.wire import Wire, packed

pytestmark = pytest.mark.redis


def command(*parts: str) -> list[bytes]:
    return [packed(part) for part in parts]


@pytest.fixture
def line(redis_client: Redis) -> Wire:
    return Wire(redis_client)


def test_parts_go_over_as_they_are(line):
    assert line.call(command("SET", "wire:ü", "a\r\nb")) == b"OK"
    assert line.call([packed("GET"), packed("wire:ü".encode())]) == b"a\r\nb"
    assert line.call([packed("STRLEN"), packed("wire:ü")]) == 4


def test_a_connection_is_used_again(line):
    line.call(command("PING"))
    before = line.call(command("CLIENT", "ID"))
    with pytest.raises(ResponseError):
        line.call(command("NONSENSE"))
    assert line.call(command("CLIENT", "ID")) == before


def test_a_connection_that_redis_closed_at_rest_is_replaced(line, redis_client, monkeypatch):
    monkeypatch.setattr(wire, "FRESH_SECONDS", 0.0)
    line.call(command("PING"))
    redis_client.client_kill_filter(_type="normal", skipme=True)
    assert line.call(command("PING")) == b"PONG"


def test_one_failure_has_the_others_tested(line, redis_client):
    first, second = line._take(), line._take()
    for connection in (first, second):
        connection.connect()
        line._resting.append((connection, wire.monotonic()))
    redis_client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RedisConnectionError):
        line.call(command("PING"))
    assert line.call(command("PING")) == b"PONG"


def test_an_answer_that_was_not_waited_for_is_nobody_elses(line, monkeypatch):
    line.call(command("SET", "wire:mine", "1"))
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            line.call(command("GET", "wire:mine"))
    assert line.call(command("PING")) == b"PONG"


def test_a_forked_process_takes_connections_of_its_own(line):
    before = line.call(command("CLIENT", "ID"))
    line._resting[0][0].pid += 1  # as if the parent had opened it
    assert line.call(command("CLIENT", "ID")) != before


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
