"""A mail server and a web server that remember what they were given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from messaging.management.demo.processes import free_port


@dataclass(slots=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Web:
    """What was posted, and what is answered."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)


@contextmanager
def web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            state.posted.append(Posted(self.path, dict(self.headers), self.rfile.read(length)))
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose answer comes a header every tenth of a second, and has no end."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.1):
                try:
                    self.wfile.write(b"X-More: to come\r\n")
                except OSError:
                    return

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(slots=True)
class Mail:
    port: int = 0
    refused: set[str] = field(default_factory=set)
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)


@contextmanager
def mail() -> Iterator[Mail]:
    state = Mail()

    class Handler:
        async def handle_RCPT(  # noqa: N802 - the server's own name
            self, _server, _session, envelope: Envelope, address: str, _options
        ) -> str:
            if address in state.refused:
                return "550 no such mailbox"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(  # noqa: N802 - the server's own name
            self, _server, _session, envelope: Envelope
        ) -> str:
            text = message_from_bytes(envelope.content, policy=policy.default)
            state.taken.append((list(envelope.rcpt_tos), text))
            return "250 OK"

    state.port = free_port(0)
    controller = Controller(Handler(), hostname="127.0.0.1", port=state.port)
    controller.start()
    try:
        yield state
    finally:
        controller.stop(no_assert=True)
