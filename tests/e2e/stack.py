"""The whole service as real processes: sandbox, web, worker and beat, on either profile."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from tests.e2e import installation

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0

# Seconds where production has minutes.
QUICK = {
    "OUTBOUND_RETRY_SCHEDULE_SECONDS": "0,0.3,0.3,0.3,0.3",
    "OUTBOUND_TICK_SECONDS": "0.2",
    "OUTBOUND_RESCUE_SECONDS": "0.3",
    "OUTBOUND_CONNECT_TIMEOUT_SECONDS": "1",
    "OUTBOUND_READ_TIMEOUT_SECONDS": "1.5",
    "OUTBOUND_LEASE_SECONDS": "4",
    "OUTBOUND_UNKNOWN_WINDOW_SECONDS": "3",
    "OUTBOUND_HTTPS": "false",
    "CELERY_QUEUE": "e2e",
    "WEB_WORKERS": "1",
}
QUICK_SANDBOX = (
    *("--latency-ms", "20"),
    *("--status-delays-ms", "50,150,250", "--slow-seconds", "4"),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the condition's first true value; fail after the deadline."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        pause.wait(0.05)
    raise AssertionError(f"Not within {seconds} s: {what}")


class Process:
    """A child process whose output goes to a file."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.command, self.env, self.log = command, env, log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdout=output, stderr=output
            )

    def stop(self, signum: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        if self.child is None:
            return 0
        if self.child.poll() is None:
            self.child.send_signal(signum)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait(10)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Stack:
    """A running installation with one organisation, its number and an API key."""

    def __init__(
        self,
        folder: Path,
        *,
        embedded: bool,
        settings: Mapping[str, str] = QUICK,
        sandbox: Sequence[str] = QUICK_SANDBOX,
        start: Sequence[str] = ("embedded", "web", "worker", "beat"),
    ) -> None:
        """``start`` names the processes to begin with; others wait for `start()`."""
        self.folder, self.embedded = folder, embedded
        self._settings, self._sandbox, self._begin_with = settings, sandbox, start
        self._exits = ExitStack()
        self.base_url = f"http://127.0.0.1:{free_port()}"
        self.env = self._environment()
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for process in reversed(list(self.processes.values())):
            process.stop()
        self._exits.close()

    def api(self, method: str, path: str, **extra: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.api_key}", **extra.pop("headers", {})}
        return requests.request(
            method, f"{self.base_url}/api/v1/{path}", headers=headers, timeout=20, **extra
        )

    def sandbox(self, method: str, path: str, **extra: Any) -> dict[str, Any]:
        answer = requests.request(
            method, f"{self.sandbox_url}/_sandbox/{path}", timeout=20, **extra
        )
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content

    def manage(self, *arguments: str) -> str:
        done = self._manage(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, *arguments: str) -> str:
        """Return what a command that must fail says."""
        done = self._manage(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def consent(self, phone: str, **fields: Any) -> None:
        body = {"phone": phone, "purpose": "transactional", **fields}
        answer = self.api("POST", "consents", json=body)
        assert answer.status_code == 201, answer.text

    def send(self, phone: str, **fields: Any) -> requests.Response:
        body = {
            "to": phone,
            "type": "template",
            "category": "utility",
            "template": {
                "name": "order_update",
                "language": "en_US",
                "components": [
                    {
                        "type": "body",
                        "parameters": [
                            {"type": "text", "text": "Ana"},
                            {"type": "text", "text": "#1042"},
                        ],
                    }
                ],
            },
            **fields,
        }
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return self.api("POST", "outbound-messages", json=body, headers=headers)

    def queue(self, phone: str, **fields: Any) -> str:
        """Consent and send; return the message's id."""
        self.consent(phone)
        answer = self.send(phone, **fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def message(self, message_id: str) -> dict[str, Any]:
        content: dict[str, Any] = self.api("GET", f"outbound-messages/{message_id}").json()
        return content

    def wait_for(
        self, message_id: str, wanted: Callable[[dict[str, Any]], object], seconds: float = 20
    ) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def check() -> bool:
            seen.update(self.message(message_id))
            return bool(wanted(seen))

        try:
            wait_until(check, seconds, "the message's state")
        except AssertionError:
            raise AssertionError(f"Ended as {seen}") from None
        return seen

    def wait_status(self, message_id: str, status: str, seconds: float = 20) -> dict[str, Any]:
        return self.wait_for(message_id, lambda message: message["status"] == status, seconds)

    def ledger_of(self, message_id: str) -> list[dict[str, Any]]:
        """Return what the sandbox accepted for a message."""
        wanted = message_id.replace("-", "")
        sends = self.sandbox("GET", "ledger")["sends"]
        return [send for send in sends if wanted in (send["biz_opaque_callback_data"] or "")]

    def start(self, name: str) -> None:
        self.processes[name].start()
        self._wait_until_up(name)

    def _wait_until_up(self, name: str) -> None:
        if name in {"embedded", "web"}:
            wait_until(self._is_up, START_SECONDS, f"{name}: {self.processes[name].text()[-2000:]}")

    def _start(self) -> None:
        self._install()
        self.sandbox_url = self._start_sandbox()
        self.env["WHATSAPP_CLOUD_API_BASE_URL"] = self.sandbox_url
        for name, command in self._commands().items():
            process = Process(command, self.env, self.folder / f"{name}.log")
            self.processes[name] = process
        begin_with = [name for name in self._commands() if name in self._begin_with]
        for name in begin_with:
            self.processes[name].start()
        for name in begin_with:
            self._wait_until_up(name)
        app_secret = installation.META_SECRETS["WHATSAPP_APP_SECRET"]
        webhook = f"{self.base_url}/api/v1/webhooks/whatsapp/inbound"
        self.sandbox("POST", "config", json={"webhook_url": webhook, "app_secret": app_secret})

    def _start_sandbox(self) -> str:
        command = [sys.executable, "-m", "sandbox", "--port", "0", *self._sandbox]
        process = Process(command, self.env, self.folder / "sandbox.log")
        self.processes["sandbox"] = process
        process.start()
        line = wait_until(
            lambda: [x for x in process.text().splitlines() if "listening on" in x],
            START_SECONDS,
            "the sandbox's start",
        )[0]
        return str(line.rpartition(" ")[2])

    def _commands(self) -> dict[str, list[str]]:
        port = self.base_url.rpartition(":")[2]
        if self.embedded:
            return {"embedded": [sys.executable, "manage.py", "run_embedded", "--port", port]}
        celery = [sys.executable, "-m", "celery", "-A", "config"]
        granian = str(Path(sys.executable).with_name("granian"))
        return {
            "web": [
                *(granian, "--interface", "wsgi", "config.wsgi:application"),
                *("--host", "127.0.0.1", "--port", port, "--blocking-threads", "16"),
                *("--workers", self.env["WEB_WORKERS"]),
            ],
            "worker": [
                *celery,
                "worker",
                "--pool",
                "threads",
                "--concurrency",
                "2",
                "-n",
                "e2e@%h",
            ],
            "beat": [*celery, "beat", "--max-interval", "1", "--pidfile", ""],
        }

    def _environment(self) -> dict[str, str]:
        inherited = (
            installation.embedded_environment() if self.embedded else installation.environment()
        )
        var = self.folder / "var"
        return {**inherited, **self._settings, "OUTBOUND_VAR_DIR": str(var)}

    def _install(self) -> None:
        if self.embedded:
            self.api_key = installation.copy_folder(self.folder / "var")
            return
        url, self.api_key = installation.copy_database(self.env["DATABASE_URL"])
        self._exits.callback(installation.drop_database, url)
        self.env["DATABASE_URL"] = url

    def _is_up(self) -> bool:
        try:
            return requests.get(f"{self.base_url}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False
