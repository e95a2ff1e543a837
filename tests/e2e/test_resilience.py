"""What dies may die: workers killed in the middle of a call, a broker that is not there."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.stack import QUICK, Stack, wait_until

pytestmark = pytest.mark.e2e

SLOW = "+12025550130"
# On the embedded profile the statuses, too, must wait until the process is back.
STACK_SETTINGS = {**QUICK, "OUTBOUND_UNKNOWN_WINDOW_SECONDS": "30"}


@pytest.fixture
def worker(stack: Stack) -> str:
    """The process that sends."""
    return "embedded" if stack.embedded else "worker"


@pytest.mark.core
def test_a_worker_killed_in_the_middle_of_a_call_loses_and_doubles_nothing(stack, worker):
    message_id = stack.queue(SLOW)
    wait_until(lambda: stack.ledger_of(message_id), 15, "the call to arrive")
    stack.processes[worker].kill()
    stack.start(worker)
    message = stack.wait_status(message_id, "DELIVERED", 30)
    assert len(stack.ledger_of(message_id)) == 1
    assert message["attempts"][0]["outcome"] == "ACCEPTED"


def test_messages_accepted_before_a_kill_are_sent_after_the_restart(stack: Stack, worker):
    stack.sandbox("POST", "config", json={"latency_ms": 700})
    ids = [stack.queue(f"+120255530{n:02}") for n in range(10)]
    stack.processes[worker].kill()
    stack.start(worker)
    stack.sandbox("POST", "config", json={"latency_ms": 20})
    for message_id in ids:
        # A call that had not begun leaves no evidence: it is made after the unknown window.
        stack.wait_status(message_id, "DELIVERED", 60)
        assert len(stack.ledger_of(message_id)) == 1


@pytest.mark.core
def test_a_stop_lets_the_calls_in_flight_finish(stack: Stack, worker):
    stack.sandbox("POST", "config", json={"latency_ms": 1000})
    message_id = stack.queue("+12025553100")
    wait_until(lambda: stack.ledger_of(message_id), 15, "the call to arrive")
    assert stack.processes[worker].stop(signal.SIGTERM) == 0
    stack.sandbox("POST", "config", json={"latency_ms": 20})
    stack.start(worker)
    message = stack.wait_status(message_id, "DELIVERED")
    assert message["attempts"][0]["http_status"] == 200


def test_sending_goes_on_without_a_broker(tmp_path: Path):
    no_broker = {**QUICK, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    with Stack(tmp_path, embedded=False, settings=no_broker) as stack:
        stack.wait_status(stack.queue("+12025553200"), "DELIVERED", 30)
