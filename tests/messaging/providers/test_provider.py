from __future__ import annotations

from dataclasses import replace

import pytest

from messaging.providers.base import Outcome, Result, steady_seconds
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.providers.whatsapp.provider import WhatsAppCloud
from messaging.providers.whatsapp.transports.base import TOO_LATE, Answer, Ending, Failure
from tests.messaging.providers.test_payloads import OUTGOING

ACCEPTED = Answer(200, {}, b'{"messages":[{"id":"wamid.1"}]}')


class ScriptedTransport:
    """Ends every call at once, as its script says."""

    def __init__(self, outcome) -> None:
        self.outcome, self.calls, self.ended = outcome, [], []

    @property
    def in_flight(self) -> int:
        return len(self.ended)

    def start(self, call) -> None:
        self.calls.append(call)
        self.ended.append(Ending(call.key, self.outcome, 0.25))

    def finished(self, _wait: float):
        ended, self.ended = self.ended, []
        return ended

    def wake(self) -> None:
        return None

    def close(self) -> None:
        return None


def provider_of(outcome) -> tuple[WhatsAppCloud, ScriptedTransport]:
    transport = ScriptedTransport(outcome)
    return (
        WhatsAppCloud(
            base_url="http://meta.example/",
            version="v25.0",
            table=DEFAULT_TABLE,
            transport=transport,
        ),
        transport,
    )


def outgoing(key: str = "k", **fields: object):
    return replace(OUTGOING, key=key, deadline=steady_seconds() + 60, **fields)


def results(provider: WhatsAppCloud, *batch) -> dict[str, Result]:
    provider.start(batch)
    found = {}
    while provider.in_flight:
        found |= {result.key: result for result in provider.finished(1.0)}
    return found


def test_the_call_goes_to_the_number_with_its_token():
    provider, transport = provider_of(ACCEPTED)
    result = results(provider, outgoing())["k"]
    assert (result.outcome, result.duration_ms) == (Outcome.ACCEPTED, 250)
    (call,) = transport.calls
    assert call.url == "http://meta.example/v25.0/200000000000001/messages"
    assert call.headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("failure", "outcome", "code"),
    [
        (Failure("CONNECTION", "x", may_have_arrived=False), Outcome.NOT_SENT, "CONNECTION"),
        (TOO_LATE, Outcome.NOT_SENT, "DEADLINE"),
        (Failure("TIMEOUT", "x", may_have_arrived=True), Outcome.UNKNOWN, "TIMEOUT"),
    ],
)
def test_what_goes_wrong_on_the_wire_is_a_result(failure, outcome, code):
    provider, _ = provider_of(failure)
    result = results(provider, outgoing())["k"]
    assert (result.outcome, result.error_code) == (outcome, code)


def test_a_message_that_cannot_be_built_fails_alone():
    provider, transport = provider_of(ACCEPTED)
    found = results(provider, outgoing("bad", kind="hologram"), outgoing("good"))
    assert (found["bad"].outcome, found["bad"].error_code) == (Outcome.REJECTED, "PAYLOAD")
    assert found["good"].outcome == Outcome.ACCEPTED
    assert [call.key for call in transport.calls] == ["good"]


def test_no_token_shows_in_a_text():
    provider, transport = provider_of(ACCEPTED)
    results(provider, outgoing())
    assert "token" not in repr(transport.calls)
