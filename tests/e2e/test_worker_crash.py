"""A worker dies in the middle of many calls."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.stack import QUICK, Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


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
    # One question for all: between several a message could pass from one status to another.
    under_way = "status=QUEUED&status=SENDING&status=SENT"
    listed = stack.api("GET", f"outbound-messages?page_size=1&{under_way}")
    return bool(listed.json()["results"])
