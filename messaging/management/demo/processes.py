"""The programs of the demonstration: started, watched, stopped."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60.0
STOP_SECONDS = 50.0


class StartError(Exception):
    """A program did not come up; the text says where to read why."""


class Program:
    """One child process whose output goes to a log, ready once it has printed a line."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, ready: str
    ) -> None:
        self._command = command
        self._environment = merged(environment)
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as errors:
            # A session of its own: Ctrl-C reaches us first, and we stop it in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                self._command,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except StartError:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop()

    def is_running(self) -> bool:
        """Say whether it is still there."""
        return self._process is not None and self._process.poll() is None

    def _wait_until_ready(self) -> None:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        try:
            while (line := lines.get(timeout=START_SECONDS)) is not None:
                if self._ready in line:
                    return
        except queue.Empty:
            pass
        message = f"{' '.join(self._command[1:4])} did not start; see {self._log}."
        raise StartError(message)

    def _read(self, lines: queue.Queue[str | None]) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            lines.put(line)
        lines.put(None)

    def _stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


def merged(environment: Mapping[str, str]) -> dict[str, str]:
    """Return our own environment with some variables set."""
    return {**os.environ, **environment}


def manage(*arguments: str) -> list[str]:
    """Return the command line of a management command of this installation."""
    return [sys.executable, "manage.py", *arguments]


def free_port(wanted: int) -> int:
    """Return the wanted port on the loopback address, or a free one when it is in use."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "No free port on 127.0.0.1."
    raise StartError(message)
