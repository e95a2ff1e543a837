"""Starts, stops and restarts one private server process for the tests."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class ServerUnavailableError(RuntimeError):
    """No usable server can be found or started; the text says what to do about it."""


class AccountOptions(TypedDict):
    """What `subprocess` calls an account; None leaves things as they are."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system account a server runs as; None means the current one."""

    uid: int | None = None
    gid: int | None = None

    def options(self) -> AccountOptions:
        """Return the arguments that make `subprocess` start a program as this account."""
        groups = None if self.uid is None else list[int]()
        return {"user": self.uid, "group": self.gid, "extra_groups": groups}

    def own(self, path: Path) -> None:
        """Give a path to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


CURRENT_ACCOUNT = Account()


@dataclass(slots=True)
class Server:
    """A running server and how to reach it; one that was given by URL cannot be controlled."""

    label: str
    url: str = field(repr=False)
    command: Sequence[str | Path] = field(default=(), repr=False)
    folder: Path = Path("/")
    account: Account = CURRENT_ACCOUNT
    stop_signal: signal.Signals = signal.SIGTERM
    probe: Callable[[str], bool] = field(default=lambda _url: True, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start the server and return when it answers."""
        if not self.command:
            raise RuntimeError(f"{self.label} was not started by the tests: ask for a private one")
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=server_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal must reach us first
                **self.account.options(),
            )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        if _ended(process, within=STOP_SECONDS):
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """Stop the server, which breaks every connection, and start it on the same port."""
        self.stop()
        self.start()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        tries = int(START_SECONDS / 0.05)
        for _ in range(tries):
            if self.probe(self.url):
                return
            if _ended(process, within=0.05):
                break
        log = (self.folder / "server.log").read_text(errors="replace")
        raise ServerUnavailableError(f"{self.label} did not start:\n{log[-2000:]}")


def server_account() -> Account:
    """Return an account PostgreSQL agrees to run as: it refuses the superuser."""
    if os.geteuid() != 0:
        return Account()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)


def server_environment() -> Mapping[str, str]:
    """Return the environment for a server: ours without the settings of somebody's own one."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")}


def _ended(process: subprocess.Popen[bytes], *, within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True
