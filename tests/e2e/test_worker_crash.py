"""A worker dies, or is told to stop, in the middle of many calls."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.e2e.stack import QUICK, Stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.timeout(300)]

CALM = {**QUICK, "OUTBOUND_READ_TIMEOUT_SECONDS": "2", "OUTBOUND_UNKNOWN_WINDOW_SECONDS": "10"}
MANY = 200


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """An installation whose worker has not begun yet."""
    with Stack(tmp_path, embedded=False, settings=CALM, start=("web", "beat")) as stack:
        yield stack


def test_a_worker_killed_in_the_middle_of_200_calls_loses_and_doubles_nothing(stack: Stack):
    ids = queue_many(stack, MANY)
    allow(stack, per_second=1000)
    kill_amid(stack, calls=MANY // 2)
    wait_until(lambda: not unsettled(stack), 60, "every message to be delivered")
    assert set(sends(stack).values()) == {1}
    assert len(sends(stack)) == len(ids)


@pytest.mark.full
def test_without_statuses_a_killed_worker_leaves_it_to_the_policy(stack: Stack):
    stack.sandbox("POST", "config", json={"statuses": False})
    phones = [f"+120255060{n:02}" for n in range(20)]
    utility = [stack.queue(phone) for phone in phones[:10]]
    for phone in phones[10:]:
        stack.consent(phone, purpose="marketing")
    campaign = [stack.send(phone, category="marketing").json()["id"] for phone in phones[10:]]
    kill_amid(stack, calls=len(phones))
    wait_until(lambda: not rows(stack, "QUEUED", "SENDING"), 60, "an end for every message")
    assert {stack.message(pk)["status"] for pk in utility} == {"SENT"}
    assert {len(stack.ledger_of(pk)) for pk in utility} == {2}
    ended = [stack.message(pk) for pk in campaign]
    assert {(each["status"], each["error_code"]) for each in ended} == {
        ("FAILED", "DELIVERY_UNKNOWN")
    }
    assert {len(stack.ledger_of(pk)) for pk in campaign} == {1}


def test_a_stop_amid_a_queue_claims_nothing_more_and_leaves_no_claim(stack: Stack):
    ids = queue_many(stack, MANY)
    stack.sandbox("POST", "config", json={"latency_ms": 300})
    stack.start("worker")
    wait_until(lambda: len(sends(stack)) >= MANY // 5, 20, "some calls")
    assert stack.processes["worker"].stop(signal.SIGTERM) == 0
    assert rows(stack, "SENDING") == 0
    assert rows(stack, "QUEUED") == MANY - len(sends(stack)) > 0
    stack.start("worker")
    wait_until(lambda: not unsettled(stack), 60, "every message to be delivered")
    assert set(sends(stack).values()) == {1}
    assert len(sends(stack)) == len(ids)


def queue_many(stack: Stack, count: int) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(stack.queue, [f"+12025{550200 + n:06}" for n in range(count)]))


def allow(stack: Stack, per_second: int) -> None:
    """Let each number send so many messages a second."""
    with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE messaging_phonenumber SET messages_per_second = %s", (per_second,)
        )


def kill_amid(stack: Stack, calls: int) -> None:
    """Kill a worker when so many calls have arrived and none is answered; start another."""
    stack.sandbox("POST", "config", json={"latency_ms": 1500})
    stack.start("worker")
    wait_until(lambda: len(sends(stack)) >= calls, 20, f"{calls} calls")
    stack.processes["worker"].kill()
    stack.start("worker")


def sends(stack: Stack) -> Counter[str]:
    """Count the calls that have arrived by what they said of themselves."""
    arrived = stack.sandbox("GET", "ledger")["sends"]
    return Counter(json.loads(send["biz_opaque_callback_data"])["m"] for send in arrived)


def unsettled(stack: Stack) -> int:
    return rows(stack, "QUEUED", "SENDING", "SENT")


def rows(stack: Stack, *statuses: str) -> int:
    """Count the messages in these statuses, at one moment."""
    with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM outbound_message WHERE status = ANY (%s)", (list(statuses),)
        ).fetchone()
    assert found is not None
    return int(found[0])
