"""What any transport must do, over real sockets."""

from __future__ import annotations

import socket
import threading

import pytest

from messaging.providers.base import steady_seconds
from messaging.providers.whatsapp.provider import TRANSPORTS
from messaging.providers.whatsapp.transports.base import LARGEST_ANSWER, Answer, Call, Failure
from tests.messaging.providers.servers import answer, read_request, reset, serving

HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


@pytest.fixture(params=sorted(TRANSPORTS))
def transport(request):
    made = TRANSPORTS[request.param](concurrency=4, connect_timeout=0.5, read_timeout=0.5)
    yield made
    made.close()


def start(transport, base: str, key: str = "k", body: bytes = b'{"a":1}', patience: float = 60):
    url = f"{base}/v25.0/1/messages"
    transport.start(Call(key, url, HEADERS, body, steady_seconds() + patience))


def endings(transport, count: int = 1) -> dict[str, Answer | Failure]:
    """Wait for so many calls to end."""
    found = {}
    end = steady_seconds() + 10
    while len(found) < count and steady_seconds() < end:
        found |= {ending.key: ending.outcome for ending in transport.finished(1.0)}
    assert len(found) == count
    assert transport.in_flight == 0
    return found


def post(transport, base: str) -> Answer | Failure:
    start(transport, base)
    return endings(transport)["k"]


def is_lost(outcome, code: str = "CONNECTION_LOST") -> bool:
    return isinstance(outcome, Failure) and outcome.may_have_arrived and outcome.code == code


def is_not_sent(outcome, code: str = "CONNECTION") -> bool:
    return isinstance(outcome, Failure) and not outcome.may_have_arrived and outcome.code == code


def test_an_answer_comes_back_whole(transport):
    with serving(lambda client: (read_request(client), answer(client, b"{}"))) as base:
        got = post(transport, base)
    assert (got.status, got.body, got.truncated) == (200, b"{}", False)
    assert got.headers["content-length"] == "2"


def test_the_request_is_whole(transport):
    seen = []

    def script(client):
        seen.append(read_request(client))
        answer(client, b"{}")

    with serving(script) as base:
        post(transport, base)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v25.0/1/messages HTTP/1.1"
    assert b"Authorization: Bearer token" in lines
    assert b"Content-Length: 7" in lines
    assert not [line for line in lines if line.lower().startswith(b"expect")]
    assert body == b'{"a":1}'


def test_the_connection_is_kept(transport):
    opened = []

    def script(client):
        opened.append(client)
        while read_request(client):
            answer(client, b"{}")

    with serving(script) as base:
        for _ in range(3):
            post(transport, base)
    assert len(opened) == 1


def test_a_kept_connection_that_breaks_is_a_lost_answer_and_never_a_second_request(transport):
    requests = []

    def script(client):
        requests.append(read_request(client))
        answer(client, b"{}")
        requests.append(read_request(client))  # accepted, and then gone without an answer

    with serving(script) as base:
        assert isinstance(post(transport, base), Answer)
        assert is_lost(post(transport, base))
    assert len([request for request in requests if request]) == 2


def test_calls_run_side_by_side_and_the_slow_one_holds_up_nobody(transport):
    release = threading.Event()

    def script(client):
        slow = b"slow" in read_request(client)
        if slow:
            release.wait(10)
        answer(client, b"slow" if slow else b"fast")

    with serving(script) as base:
        start(transport, base, "slow", b"slow")
        start(transport, base, "a")
        start(transport, base, "b")
        early = {}
        while len(early) < 2:
            early |= {ending.key: ending.outcome for ending in transport.finished(1.0)}
        assert early.keys() == {"a", "b"}
        assert transport.in_flight == 1
        release.set()
        assert endings(transport)["slow"].body == b"slow"


def test_nobody_waits_longer_than_asked(transport):
    assert transport.finished(0.0) == []
    assert transport.finished(0.01) == []


def test_waking_ends_the_wait(transport):
    threading.Timer(0.05, transport.wake).start()
    begun = steady_seconds()
    assert transport.finished(30) == []
    assert steady_seconds() - begun < 20


def test_after_its_deadline_no_call_is_made(transport):
    with serving(lambda client: answer(client, b"{}")) as base:
        start(transport, base, patience=-1)
        assert is_not_sent(endings(transport)["k"], "DEADLINE")


def test_a_refused_connection_was_not_sent(transport):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert is_not_sent(post(transport, f"http://127.0.0.1:{port}"))


def test_a_connection_that_is_never_accepted_was_not_sent(transport):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        crowd = []
        for _ in range(4):  # fill the backlog, so that the next one gets no answer
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            crowd.append(one)
        assert is_not_sent(post(transport, f"http://127.0.0.1:{port}"))
        for one in crowd:
            one.close()


def test_a_name_that_does_not_resolve_was_not_sent(transport):
    assert is_not_sent(post(transport, "http://graph.invalid"))


def test_a_failed_tls_handshake_was_not_sent(transport):
    with serving(lambda client: client.sendall(b"not tls at all\r\n\r\n")) as base:
        assert is_not_sent(post(transport, base.replace("http://", "https://")))


def test_a_certificate_nobody_vouches_for_was_not_sent(transport, tls_server):
    assert is_not_sent(post(transport, tls_server.base))
    assert not any(tls_server.requests)  # the handshake may have come to an end, empty


@pytest.mark.parametrize("name", sorted(TRANSPORTS))
def test_a_certificate_of_the_given_authority_is_trusted(name, tls_server):
    trusting = TRANSPORTS[name](
        concurrency=2, connect_timeout=2, read_timeout=2, ca_file=tls_server.ca_file
    )
    assert post(trusting, tls_server.base).body == b"{}"
    trusting.close()


def test_no_answer_in_time_is_a_lost_answer(transport):
    done = threading.Event()

    def script(client):
        read_request(client)
        done.wait(5)

    with serving(script) as base:
        assert is_lost(post(transport, base), "TIMEOUT")
        done.set()


def test_a_reset_after_the_request_is_a_lost_answer(transport):
    with serving(lambda client: (read_request(client), reset(client))) as base:
        assert is_lost(post(transport, base))


def test_a_close_without_an_answer_is_a_lost_answer(transport):
    with serving(read_request) as base:
        assert is_lost(post(transport, base))


def test_an_answer_cut_short_is_a_lost_answer(transport):
    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with serving(script) as base:
        assert is_lost(post(transport, base))


def test_something_that_is_not_http_is_a_lost_answer(transport):
    with serving(lambda client: (read_request(client), client.sendall(b"what?\r\n\r\n"))) as base:
        assert is_lost(post(transport, base))


def test_a_huge_answer_is_read_up_to_its_bound(transport):
    def script(client):
        read_request(client)
        answer(client, b"x" * 10_000_000)

    with serving(script) as base:
        got = post(transport, base)
    assert (got.status, len(got.body), got.truncated) == (200, LARGEST_ANSWER, True)


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: "]
)
def test_an_answer_that_drips_is_given_up(transport, begin):
    done = threading.Event()

    def script(client):
        read_request(client)
        client.sendall(begin)
        while not done.wait(0.1):
            client.sendall(b"x" * 2)

    with serving(script) as base:
        assert is_lost(post(transport, base), "TIMEOUT")
        done.set()


def test_a_redirect_is_an_answer_and_not_followed(transport):
    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as base:
        assert post(transport, base).status == 302


def test_the_headers_are_those_of_the_final_answer(transport):
    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 100 Continue\r\nX-Odd: 1\r\n\r\n")
        client.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as base:
        got = post(transport, base)
    assert (got.status, got.headers["retry-after"]) == (429, "7")
    assert "x-odd" not in got.headers
