"""Show the whole service at work: sandbox, web, worker and beat, and 20 messages."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import ExitStack
from threading import Event
from time import monotonic
from types import FrameType
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live

from messaging.management.demo import screen
from messaging.management.demo.client import Client, Progress
from messaging.management.demo.processes import (
    Program,
    StartError,
    free_port,
    manage,
    merged,
)

SETTLE_SECONDS = 120.0
# Seconds instead of minutes, so that retries can be watched.
QUICK = {
    "OUTBOUND_RETRY_SCHEDULE_SECONDS": "0,2,2,3,3",
    "OUTBOUND_TICK_SECONDS": "0.5",
    "OUTBOUND_HTTPS": "false",
    "LOG_TEXT": "true",
}


class Command(BaseCommand):
    """Start everything on free ports, send, watch, and stay until Ctrl-C."""

    help = "Run the demonstration on SQLite with the bundled sandbox."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say where to listen, and whether to stop by itself."""
        parser.add_argument("--exit", action="store_true", help="Stop once all have settled.")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--sandbox-port", type=int, default=8790)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it; exit code 1 when a message did not end as expected."""
        if not settings.OUTBOUND_EMBEDDED:
            message = "The demonstration is embedded: unset DATABASE_URL and REDIS_URL."
            raise CommandError(message)
        signal.signal(signal.SIGTERM, _interrupt)
        console = Console()
        try:
            as_expected = _run(console, options)
        except StartError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            console.print("Stopped.")
            return
        if not as_expected:
            sys.exit(1)


def _run(console: Console, options: Mapping[str, Any]) -> bool:
    ports = {"web": free_port(options["port"]), "sandbox": free_port(options["sandbox_port"])}
    if ports["web"] != options["port"]:
        console.print(f"Port {options['port']} is in use; taking {ports['web']} instead.")
    base_url = f"http://127.0.0.1:{ports['web']}"
    app_secret = secrets.token_urlsafe(24)
    environment = {
        **QUICK,
        "WHATSAPP_CLOUD_API_BASE_URL": f"http://127.0.0.1:{ports['sandbox']}",
        "WHATSAPP_APP_SECRET": app_secret,
    }
    logs = settings.OUTBOUND_VAR_DIR
    sandbox = [
        *(sys.executable, "-m", "sandbox", "--port", str(ports["sandbox"])),
        *("--webhook-url", f"{base_url}/api/v1/webhooks/whatsapp/inbound"),
    ]
    with ExitStack() as stack:
        console.print("Starting the sandbox and the service …")
        stack.enter_context(
            Program(
                sandbox,
                {"SANDBOX_APP_SECRET": app_secret},
                logs / "demo-sandbox.log",
                "listening on",
            )
        )
        service = stack.enter_context(
            Program(
                manage("run_embedded", "--port", str(ports["web"])),
                environment,
                logs / "demo-service.log",
                "listening on",
            )
        )
        stack.callback(_ignore_further_signals)
        progress = _show(console, base_url, _seed(environment))
        if not options["exit"]:
            console.print("Serving until Ctrl-C.")
            _stay(service)
        return all(item.as_expected for item in progress)


def _show(console: Console, base_url: str, access: dict[str, str]) -> list[Progress]:
    """Send the messages and follow them until they have settled."""
    screen.introduce(console, base_url, access)
    client = Client(base_url, access["api_key"])
    progress = client.send_all(secrets.token_hex(4))
    _watch(console, client, progress)
    console.print()
    return progress


def _seed(environment: Mapping[str, str]) -> dict[str, str]:
    done = subprocess.run(  # noqa: S603 - our own program
        manage("seed_demo"),
        env=merged(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        message = f"The demonstration's data could not be made:\n{done.stderr[-2000:]}"
        raise StartError(message)
    access: dict[str, str] = json.loads(done.stdout)
    return access


def _watch(console: Console, client: Client, progress: list[Progress]) -> None:
    """Show the table until everything has settled, or for as long as it may take."""
    end = monotonic() + SETTLE_SECONDS
    pause = Event()
    with Live(screen.table(progress), console=console, refresh_per_second=4) as live:
        while not all(item.has_settled for item in progress) and monotonic() < end:
            pause.wait(0.5)
            try:
                client.refresh(progress)
            except requests.RequestException as error:
                message = f"The service stopped answering ({type(error).__name__})."
                raise StartError(message) from error
            live.update(screen.table(progress))


def _stay(service: Program) -> None:
    pause = Event()
    while service.is_running():
        pause.wait(1.0)
    message = "The service has stopped by itself; see its log."
    raise StartError(message)


def _ignore_further_signals() -> None:
    """Let a second Ctrl-C not interrupt the stopping of what was started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
