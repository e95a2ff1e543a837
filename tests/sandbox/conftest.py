from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

ROOT = Path(__file__).parents[2]
NUMBER = "200000000000001"
SECRET = "sandbox-test-secret"


@dataclass
class Receiver:
    """Takes webhooks as Meta's client would see it."""

    url: str = ""
    answers: list[int] = field(default_factory=list)  # statuses to answer with, then 200
    posts: queue.Queue[tuple[dict[str, str], bytes]] = field(default_factory=queue.Queue)

    def next(self, about: str = "") -> tuple[dict[str, str], bytes]:
        """Return the next POST whose body names something; those of earlier tests do not."""
        while True:
            headers, body = self.posts.get(timeout=5)
            if about.encode() in body:
                return headers, body

    def statuses(self, count: int, wamid: str) -> list[dict[str, Any]]:
        """Return the next statuses of a message, whatever else arrives."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            _headers, body = self.next()
            for change in orjson.loads(body)["entry"][0]["changes"]:
                found += [s for s in change["value"].get("statuses", []) if s["id"] == wamid]
        return found


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.put((dict(self.headers), body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield receiver
    server.shutdown()
    server.server_close()


@dataclass
class Sandbox:
    url: str

    def send(self, to: str, *, token: str = "t", **fields: Any) -> requests.Response:
        body = {
            "messaging_product": "whatsapp",
            "to": to,
            "type": "text",
            "text": {"body": "hi"},
            **fields,
        }
        return self.post_raw(
            orjson.dumps({k: v for k, v in body.items() if v is not None}), token=token
        )

    def post_raw(self, body: bytes, *, token: str = "t", number: str = NUMBER) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.url}/v25.0/{number}/messages"
        return requests.post(url, data=body, headers=headers, timeout=10)

    def get(self, path: str, **params: Any) -> requests.Response:
        headers = {"Authorization": "Bearer t"}
        return requests.get(f"{self.url}/v25.0/{path}", params=params, headers=headers, timeout=10)

    def control(self, method: str, path: str, **extra: Any) -> requests.Response:
        return requests.request(method, f"{self.url}/_sandbox/{path}", timeout=10, **extra)

    def wamid(self, to: str, **fields: Any) -> str:
        return str(self.send(to, **fields).json()["messages"][0]["id"])


@pytest.fixture(scope="session")
def program(receiver: Receiver) -> Iterator[Sandbox]:
    command = [
        *(sys.executable, "-m", "sandbox", "--port", "0", "--latency-ms", "1"),
        *("--status-delays-ms", "10,20,30", "--slow-seconds", "1", "--app-secret", SECRET),
        *("--webhook-url", receiver.url),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        line = child.stdout.readline()
        yield Sandbox(line.strip().rpartition(" ")[2])
        child.terminate()
        assert child.wait(10) == 0


@pytest.fixture
def sandbox(program: Sandbox, receiver: Receiver) -> Iterator[Sandbox]:
    """The running sandbox, as new."""
    program.control("POST", "reset")
    while not receiver.posts.empty():
        receiver.posts.get()
    yield program
    settings = {"rate": 0, "pair_limit": False, "enforce_window": False, "statuses_per_post": 1}
    program.control("POST", "config", json=settings)


@pytest.fixture
def error_of() -> Callable[[requests.Response], int]:
    def code(answer: requests.Response) -> int:
        return int(answer.json()["error"]["code"])

    return code
