"""What is away for a while: Redis, and a worker that dies in the middle of many calls."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import services
from tests.e2e.stack import QUICK, Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

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


def test_after_a_restart_of_postgresql_everything_goes_on_by_itself(tmp_path: Path):
    with services.postgres(private=True) as server:
        settings = {**QUICK, "DATABASE_URL": server.url}
        with Stack(tmp_path, embedded=False, settings=settings) as stack:
            stack.sandbox("POST", "config", json={"latency_ms": 1000})
            ids = [stack.queue(f"+120255534{n:02}") for n in range(5)]
            wait_until(lambda: stack.ledger_of(ids[0]), 15, "the call to arrive")
            server.stop()
            answer = stack.api("GET", "outbound-messages")
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["Retry-After"]
            server.start()
            stack.sandbox("POST", "config", json={"latency_ms": 20})
            wait_until(lambda: stack.api("GET", "outbound-messages").ok, 30, "the API")
            ids.append(stack.queue("+12025553499"))
            for message_id in ids:
                stack.wait_status(message_id, "DELIVERED", 60)
                assert len(stack.ledger_of(message_id)) == 1


@pytest.mark.timeout(300)
def test_a_worker_killed_in_the_middle_of_200_calls_loses_and_doubles_nothing(tmp_path: Path):
    calm = {**QUICK, "OUTBOUND_READ_TIMEOUT_SECONDS": "2", "OUTBOUND_UNKNOWN_WINDOW_SECONDS": "10"}
    with Stack(tmp_path, embedded=False, settings=calm) as stack:
        stack.processes["worker"].stop()
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(stack.queue, [f"+12025{n:06}" for n in range(550200, 550400)]))
        stack.sandbox("POST", "config", json={"latency_ms": 1500})
        stack.start("worker")
        wait_until(lambda: stack.sandbox("GET", "ledger")["sends"], 20, "the first call")
        stack.processes["worker"].kill()
        stack.start("worker")
        wait_until(lambda: not unsettled(stack), 60, "every message to be delivered")
        sends = Counter(
            send["biz_opaque_callback_data"] for send in stack.sandbox("GET", "ledger")["sends"]
        )
        assert len(sends) == len(ids)
        assert set(sends.values()) == {1}


def unsettled(stack: Stack) -> bool:
    listed = [
        stack.api("GET", f"outbound-messages?page_size=1&status={status}").json()["results"]
        for status in ("QUEUED", "SENDING", "SENT")
    ]
    return any(listed)
