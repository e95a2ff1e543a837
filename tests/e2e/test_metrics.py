"""Counters over several processes: two webs, two workers, and one of these dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.stack import QUICK, Process, Stack, free_port, wait_until
from tests.e2e.test_worker_crash import unsettled

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.postgres]

TOKEN = "e2e-metrics"
SETTINGS = {**QUICK, "OUTBOUND_METRICS_TOKEN": TOKEN}
GET, POST = "GET", "POST"
MESSAGES = 100
# Recipients the sandbox knows.
REFUSED = "+12025550126"
REPEATED = "+12025550124"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(url: str) -> Samples:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{url}/metrics", headers=headers, timeout=10)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def counted(samples: Samples) -> dict[str, float]:
    """Sum the samples of each name, whatever the labels."""
    sums: dict[str, float] = {}
    for (name, _labels), value in samples.items():
        sums[name] = sums.get(name, 0) + value
    return sums


def facts(stack: Stack) -> dict[str, float]:
    """What the database says, by the names of the counters."""
    questions = {
        "outbound_message_queued_total": "SELECT count(*) FROM outbound_message",
        "outbound_message_sent_total": "SELECT count(*) FROM outbound_message "
        "WHERE sent_at IS NOT NULL",
        "outbound_message_failed_total": "SELECT count(*) FROM message_event "
        "WHERE to_status = 'FAILED'",
        "outbound_message_retry_total": "SELECT count(*) FROM message_event "
        "WHERE to_status = 'QUEUED' AND kind IN ('retry', 'resend', 'failed')",
        "outbound_message_queue_depth": "SELECT count(*) FROM outbound_message "
        "WHERE status IN ('QUEUED', 'SENDING')",
        "outbound_message_dlq_size": "SELECT count(*) FROM outbound_message "
        "WHERE status = 'FAILED'",
    }
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        return {
            name: connection.execute(question).fetchone()[0] for name, question in questions.items()
        }


def another(stack: Stack, name: str, *changes: tuple[str, str]) -> None:
    """Start one more process like another one, under a name of its own."""
    command = list(stack.processes[name].command)
    for old, new in changes:
        command[command.index(old)] = new
    process = Process(command, stack.env, stack.folder / f"{name}-2.log")
    stack.processes[f"{name}-2"] = process
    process.start()


@pytest.mark.timeout(300)
def test_counters_agree_with_the_database_after_a_worker_was_killed(tmp_path: Path):
    with Stack(tmp_path, embedded=False, settings=SETTINGS) as stack:
        other_port = str(free_port())
        other = f"http://127.0.0.1:{other_port}"
        another(stack, "web", (stack.base_url.rpartition(":")[2], other_port))
        another(stack, "worker", ("e2e@%h", "e2e-2@%h"))
        wait_until(lambda: is_up(other), 60, "the second web")
        stack.sandbox("POST", "config", json={"latency_ms": 300})
        send_all(stack, [stack.base_url, other])
        wait_until(lambda: stack.sandbox("GET", "ledger")["sends"], 20, "the first call")
        stack.processes["worker"].kill()
        wait_until(lambda: not unsettled(stack), 60, "every message to come to an end")
        wait_until(lambda: agree(stack, [stack.base_url, other]), 20, "the counters to agree")
        seen = counted(scrape(stack.base_url))
        assert seen["outbound_message_queued_total"] == MESSAGES
        assert seen["outbound_message_failed_total"] == MESSAGES / 10
        assert seen["outbound_message_retry_total"] >= MESSAGES / 10
        assert scrape(other)["outbound_processes", frozenset({("kind", "beat")})] == 1
        before = requests_by(GET, scrape(stack.base_url))
        for _ in range(5):
            assert is_up(other)
        stack.processes["web-2"].stop()  # what it has measured since its last scrape is not lost
        assert requests_by(GET, scrape(stack.base_url)) == before + 5 + 1  # and this scrape


def send_all(stack: Stack, urls: list[str]) -> None:
    """Send the messages through both webs in turn; of ten one is refused and one repeated."""
    special = {0: REFUSED, 1: REPEATED}
    phones = [special.get(n % 10, f"+12025{551000 + n}") for n in range(MESSAGES)]
    agreed = [{"phone": phone, "purpose": "transactional"} for phone in dict.fromkeys(phones)]
    assert stack.api("POST", "consents/bulk", json={"consents": agreed}).status_code == 200

    def send(place: int) -> None:
        own = Stack.__new__(Stack)
        own.base_url, own.api_key = urls[place % 2], stack.api_key
        assert own.send(phones[place]).status_code == 201

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(MESSAGES)))


def agree(stack: Stack, urls: list[str]) -> bool:
    """Say whether every web shows what the database says, and the requests of both."""
    for url in urls:
        scrape(url)  # adds what this web has measured
    expected = facts(stack)
    pages = [scrape(url) for url in urls]
    shown = [counted(page) for page in pages]
    return all(page[name] == value for page in shown for name, value in expected.items()) and all(
        requests_by(POST, page) == posted(stack) for page in pages
    )


def requests_by(method: str, samples: Samples) -> float:
    name = "django_http_requests_total_by_method_total"
    return samples.get((name, frozenset({("method", method)})), 0)


def posted(stack: Stack) -> int:
    """Return how many POSTs both webs have had: the consents, the messages and the webhooks."""
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        (webhooks,) = connection.execute("SELECT count(*) FROM webhook_delivery").fetchone()
    return 1 + MESSAGES + webhooks


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=2).status_code == 200
    except requests.RequestException:
        return False
