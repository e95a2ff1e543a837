from __future__ import annotations

import socket
import threading

import pytest

from messaging.providers.whatsapp.transport import (
    LARGEST_ANSWER,
    AnswerLost,
    NotSent,
    RequestsTransport,
)
from tests.messaging.providers.servers import answer, read_request, reset, serving

HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


@pytest.fixture
def transport():
    made = RequestsTransport(concurrency=4, connect_timeout=0.5, read_timeout=0.5)
    yield made
    made.close()


def post(transport, base: str):
    return transport.post(f"{base}/v25.0/1/messages", b'{"a":1}', HEADERS)


def test_an_answer_comes_back_whole(transport):
    with serving(lambda client: (read_request(client), answer(client, b"{}"))) as base:
        got = post(transport, base)
    assert (got.status, got.body, got.truncated) == (200, b"{}", False)


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


def test_a_refused_connection_was_not_sent(transport):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent):
        post(transport, f"http://127.0.0.1:{port}")


def test_a_name_that_does_not_resolve_was_not_sent(transport):
    with pytest.raises(NotSent):
        post(transport, "http://graph.invalid")


def test_a_failed_tls_handshake_was_not_sent(transport):
    with (
        serving(lambda client: client.sendall(b"not tls at all\r\n\r\n")) as base,
        pytest.raises(NotSent),
    ):
        post(transport, base.replace("http://", "https://"))


def test_no_answer_in_time_is_a_lost_answer(transport):
    done = threading.Event()

    def script(client):
        read_request(client)
        done.wait(5)

    with serving(script) as base, pytest.raises(AnswerLost) as caught:
        post(transport, base)
    done.set()
    assert caught.value.code == "TIMEOUT"


def test_a_reset_after_the_request_is_a_lost_answer(transport):
    with (
        serving(lambda client: (read_request(client), reset(client))) as base,
        pytest.raises(AnswerLost) as caught,
    ):
        post(transport, base)
    assert caught.value.code == "CONNECTION_LOST"


def test_a_close_without_an_answer_is_a_lost_answer(transport):
    with serving(read_request) as base, pytest.raises(AnswerLost):
        post(transport, base)


def test_an_answer_cut_short_is_a_lost_answer(transport):
    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with serving(script) as base, pytest.raises(AnswerLost):
        post(transport, base)


def test_a_huge_answer_is_read_up_to_its_bound(transport):
    def script(client):
        read_request(client)
        answer(client, b"x" * 10_000_000)

    with serving(script) as base:
        got = post(transport, base)
    assert (len(got.body), got.truncated) == (LARGEST_ANSWER, True)


def test_an_answer_that_drips_is_given_up(transport):
    done = threading.Event()

    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not done.wait(0.1):
            client.sendall(b"x" * 2)

    with serving(script) as base, pytest.raises(AnswerLost):
        post(transport, base)
    done.set()


def test_a_redirect_is_an_answer_and_not_followed(transport):
    def script(client):
        read_request(client)
        client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as base:
        assert post(transport, base).status == 302
