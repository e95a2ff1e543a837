from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from messaging.providers.base import Outcome, Result, steady_seconds
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.providers.whatsapp.provider import WhatsAppCloud
from messaging.providers.whatsapp.transport import Answer, AnswerLost, NotSent
from tests.messaging.providers.test_payloads import OUTGOING

ACCEPTED = Answer(200, {}, b'{"messages":[{"id":"wamid.1"}]}')


class ScriptedTransport:
    """Answers by a function of the body."""

    def __init__(self, script) -> None:
        self.script, self.calls = script, []

    def post(self, url, body, headers):
        self.calls.append((url, headers))
        return self.script(body)

    def close(self) -> None:
        return None


@pytest.fixture
def provider_of():
    made = []

    def make(script, concurrency: int = 4) -> tuple[WhatsAppCloud, ScriptedTransport]:
        transport = ScriptedTransport(script)
        provider = WhatsAppCloud(
            base_url="http://meta.example/",
            version="v25.0",
            table=DEFAULT_TABLE,
            transport=transport,
            concurrency=concurrency,
        )
        made.append(provider)
        return provider, transport

    yield make
    for provider in made:
        provider.close()


def outgoing(key: str = "k", **fields: object):
    return replace(OUTGOING, key=key, deadline=steady_seconds() + 60, **fields)


def results(provider: WhatsAppCloud, *batch) -> dict[str, Result]:
    return {result.key: result for group in provider.send(batch) for result in group}


def raising(error: Exception):
    def script(_body):
        raise error

    return script


def test_the_call_goes_to_the_number_with_its_token(provider_of):
    provider, transport = provider_of(lambda _body: ACCEPTED)
    assert results(provider, outgoing())["k"].outcome == Outcome.ACCEPTED
    ((url, headers),) = transport.calls
    assert url == "http://meta.example/v25.0/200000000000001/messages"
    assert headers["Authorization"] == "Bearer token"


def test_a_slow_call_does_not_hold_up_the_results_of_others(provider_of):
    release = threading.Event()

    def script(body):
        if b"slow" in body:
            release.wait(10)
        return ACCEPTED

    provider, _ = provider_of(script)
    batch = [outgoing("slow", payload={"body": "slow"}), outgoing("a"), outgoing("b")]
    groups = provider.send(batch)
    early = set()
    while early != {"a", "b"}:
        early |= {result.key for result in next(groups)}
    release.set()
    assert [result.key for group in groups for result in group] == ["slow"]


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (NotSent("x"), Outcome.NOT_SENT, "CONNECTION"),
        (AnswerLost("TIMEOUT", "x"), Outcome.UNKNOWN, "TIMEOUT"),
        (RuntimeError("boom"), Outcome.UNKNOWN, "UNFORESEEN"),
    ],
)
def test_what_goes_wrong_on_the_wire_is_a_result(provider_of, error, outcome, code):
    provider, _ = provider_of(raising(error))
    result = results(provider, outgoing())["k"]
    assert (result.outcome, result.error_code) == (outcome, code)


def test_after_its_deadline_no_call_is_made(provider_of):
    provider, transport = provider_of(lambda _body: ACCEPTED)
    late = replace(OUTGOING, deadline=steady_seconds() - 1)
    result = results(provider, late)["k"]
    assert (result.outcome, result.error_code) == (Outcome.NOT_SENT, "DEADLINE")
    assert transport.calls == []


def test_a_message_that_cannot_be_built_fails_alone(provider_of):
    provider, _ = provider_of(lambda _body: ACCEPTED)
    found = results(provider, outgoing("bad", kind="hologram"), outgoing("good"))
    assert (found["bad"].outcome, found["bad"].error_code) == (Outcome.REJECTED, "PAYLOAD")
    assert found["good"].outcome == Outcome.ACCEPTED


def test_no_more_calls_run_at_once_than_allowed(provider_of):
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Barrier(2, timeout=5)

    def script(_body):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()
        with lock:
            running -= 1
        return ACCEPTED

    provider, _ = provider_of(script, concurrency=2)
    assert len(results(provider, *(outgoing(str(n)) for n in range(8)))) == 8
    assert most == 2
