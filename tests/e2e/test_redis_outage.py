"""Redis is away for a while: it is disposable."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests import services
from tests.e2e.stack import QUICK, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.postgres]

OUTAGE_SECONDS = 60.0


@pytest.mark.timeout(300)  # a minute of it is the outage
def test_with_redis_stopped_for_a_minute_sending_goes_on(tmp_path: Path):
    with services.redis(private=True) as redis:
        settings = {**QUICK, "REDIS_URL": redis.url}
        settings.pop("CELERY_BROKER_URL", None)
        with Stack(tmp_path, embedded=False, settings=settings) as stack:
            stack.wait_status(stack.queue("+12025553300"), "DELIVERED", 30)
            redis.stop()
            end = time.monotonic() + OUTAGE_SECONDS
            ids = []
            while time.monotonic() < end:
                ids.append(stack.queue(f"+120255533{len(ids) + 1:02}"))
                stack.wait_status(ids[-1], "DELIVERED", 30)
                threading.Event().wait(2.0)  # the outage lasts; it is what is tested
            redis.start()
            ids.append(stack.queue("+12025553399"))
            stack.wait_status(ids[-1], "DELIVERED", 30)
            assert all(len(stack.ledger_of(message_id)) == 1 for message_id in ids)
