"""Meta's limits and the organisation's quota, as the sandbox counts them from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests import services
from tests.e2e.stack import QUICK, QUICK_SANDBOX, Process, Stack, wait_until

RATE = 60
QUOTA = "rate-limits/whatsapp/quota"


def queue_batch(stack: Stack, people: list[str]) -> list[str]:
    """Consent and queue a message to each by one request; return their ids."""
    for phone in set(people):
        stack.consent(phone)
    template = {
        "name": "order_update",
        "language": "en_US",
        "components": [
            {
                "type": "body",
                "parameters": [{"type": "text", "text": "Ana"}, {"type": "text", "text": "#1"}],
            }
        ],
    }
    messages = [
        {"to": phone, "type": "template", "category": "utility", "template": template}
        for phone in people
    ]
    answer = stack.api("POST", "outbound-messages/batch", json={"messages": messages})
    assert answer.ok, answer.text
    return [result["message"]["id"] for result in answer.json()["results"]]


def statuses(stack: Stack, ids: list[str]) -> list[str]:
    return [stack.message(message_id)["status"] for message_id in ids]


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Stack]:
    """An installation whose Meta refuses whatever goes beyond its limits, and counts it."""
    sandbox = [*QUICK_SANDBOX, "--rate", str(RATE), "--pair-limit", "true"]
    with Stack(tmp_path, embedded=False, sandbox=sandbox) as stack:
        yield stack


@pytest.mark.e2e
@pytest.mark.full
def test_a_campaign_breaks_neither_throughput_nor_pair_limit(strict: Stack):
    crowd = [f"+12025551{n:03}" for n in range(150)]
    fan = "+12025552000"
    ids = queue_batch(strict, crowd)
    to_fan = queue_batch(strict, [fan] * 50)
    wait_until(lambda: set(statuses(strict, ids)) == {"DELIVERED"}, 60, "the crowd's messages")
    wait_until(lambda: statuses(strict, to_fan).count("DELIVERED") >= 45, 60, "the burst of 45")
    stats = strict.sandbox("GET", "stats")
    assert (stats["rate_breaches"], stats["pair_breaches"]) == (0, 0)
    waiting = [m for m in map(strict.message, to_fan) if m["status"] == "QUEUED"]
    assert waiting
    assert {message["hold_reason"] for message in waiting} == {"PAIR_LIMIT"}
    assert {message["attempt_count"] for message in waiting} == {0}
    assert all(message["next_look_at"] for message in waiting)
    # One more goes in each six seconds.
    sent = statuses(strict, to_fan).count("DELIVERED")
    wait_until(lambda: statuses(strict, to_fan).count("DELIVERED") > sent, 20, "the next one")
    assert strict.sandbox("GET", "stats")["pair_breaches"] == 0


@pytest.mark.e2e
@pytest.mark.full
@pytest.mark.postgres
@pytest.mark.timeout(240)
def test_a_quota_holds_over_two_workers_a_flush_and_an_outage_of_redis(tmp_path: Path):
    with services.redis(private=True) as redis:
        settings = {**QUICK, "REDIS_URL": redis.url}
        with Stack(tmp_path, embedded=False, settings=settings) as stack:
            _start_second_worker(stack)
            assert put_quota(stack, 30)["quotaLimit"] == 30
            ids = queue_batch(stack, [f"+12025553{n:03}" for n in range(25)])
            wait_until(lambda: sends(stack) == 25, 30, "the first 25")
            with Redis.from_url(redis.url) as client:
                client.flushall()
            ids += queue_batch(stack, [f"+12025554{n:03}" for n in range(10)])
            wait_until(lambda: held(stack, ids), 30, "the quota to be used up")
            assert sends(stack) == 30
            redis.stop()
            ids += queue_batch(stack, [f"+12025555{n:03}" for n in range(5)])
            _settle(stack)
            assert sends(stack) == 30
            status = stack.api("GET", QUOTA).json()
            assert (status["messagesSent"], status["remainingQuota"]) == (30, 0)
            assert status["resetAt"]
            put_quota(stack, 35)
            wait_until(lambda: sends(stack) == 35, 30, "five more, without Redis")
            redis.start()
            _settle(stack)
            assert sends(stack) == 35
            put_quota(stack, 1000)
            wait_until(lambda: sends(stack) == 40, 30, "the rest")
            wait_until(lambda: set(statuses(stack, ids)) == {"DELIVERED"}, 30, "the statuses")
            assert stack.api("GET", QUOTA).json()["messagesSent"] == 40


def _start_second_worker(stack: Stack) -> None:
    first = stack.processes["worker"]
    command = [*first.command[:-1], "e2e-2@%h"]
    stack.processes["worker-2"] = Process(command, first.env, stack.folder / "worker-2.log")
    stack.start("worker-2")


def _settle(stack: Stack) -> None:
    """Give workers that would send too much the time to do so."""
    threading.Event().wait(10 * float(stack.env["OUTBOUND_TICK_SECONDS"]))


def put_quota(stack: Stack, limit: int) -> dict[str, Any]:
    answer = stack.api("PUT", QUOTA, json={"quotaLimit": limit, "reason": "e2e"})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def sends(stack: Stack) -> int:
    return int(stack.sandbox("GET", "ledger")["count"])


def held(stack: Stack, ids: list[str]) -> bool:
    found = [stack.message(message_id) for message_id in ids]
    waiting = [message for message in found if message["status"] == "QUEUED"]
    return len(waiting) == 5 and all(
        (message["hold_reason"], message["attempt_count"]) == ("QUOTA_EXCEEDED", 0)
        and message["next_look_at"]
        for message in waiting
    )
