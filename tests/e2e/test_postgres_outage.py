"""The database is away for a while: nothing is lost, clients are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import services
from tests.e2e.stack import QUICK, Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.postgres]


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
