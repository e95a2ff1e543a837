from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from redis import Redis

from tests.ratelimit.sides import DatabaseSide, RedisSide, Side


@pytest.fixture
def redis_client() -> Iterator[Redis]:
    with Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.redis)])
def side(request: pytest.FixtureRequest, db: None) -> Side:
    """Each store in turn: a test that asks for it is part of the conformance suite."""
    if request.param == "database":
        return DatabaseSide()
    return RedisSide(request.getfixturevalue("redis_client"))
