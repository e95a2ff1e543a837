"""Private PostgreSQL and Redis servers on free ports, stopped and removed when done.

As a program, `python -m tests.services [--no-redis] [--durable] -- COMMAND …` runs a command
with DATABASE_URL and REDIS_URL set; `--durable` makes PostgreSQL as safe and as slow as in
production, for benchmarks. `TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use
instead; `TEST_SERVERS=wheel` ignores what is installed on the machine.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from tests import foreground
from tests.server_process import (
    CURRENT_ACCOUNT,
    START_SECONDS,
    Account,
    Server,
    ServerUnavailableError,
    server_account,
    server_environment,
)
from tests.server_programs import Program, find_postgres, find_redis

# Tests throw their data away.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_DURABLE = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}
_COUNTING = {"shared_preload_libraries": "pg_stat_statements"}  # where it is installed

PORT_TRIES = 3
REDIS_DATABASES = 16
DATABASE = "outbound"


@contextmanager
def postgres(*, private: bool = False, durable: bool = False) -> Iterator[Server]:
    """Yield a PostgreSQL server whose `url` names an empty database.

    `private` asks for one that may be stopped and restarted, whatever TEST_DATABASE_URL says.
    A `durable` one keeps what it has committed and counts its statements.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given and not private:
        yield Server("PostgreSQL of TEST_DATABASE_URL", given)
        return
    account = server_account()
    with _folder(account) as scratch, ExitStack() as stack:
        program = find_postgres(account, scratch)
        password = secrets.token_urlsafe(18)
        _create_cluster(program, scratch, account, password)
        server = _started(
            lambda port: _postgres_on(port, program, scratch, account, password, durable=durable)
        )
        stack.callback(server.stop)
        _create_database(server.url)
        yield server


@contextmanager
def redis(*, private: bool = False) -> Iterator[Server]:
    """Yield an empty Redis (or Valkey) server.

    `private` asks for one that may be stopped and restarted, whatever TEST_REDIS_URL says.
    """
    given = os.environ.get("TEST_REDIS_URL")
    if given and not private:
        yield Server("Redis of TEST_REDIS_URL", given)
        return
    with _folder(CURRENT_ACCOUNT) as scratch, ExitStack() as stack:
        program = find_redis()
        password = secrets.token_urlsafe(18)
        server = _started(lambda port: _redis_on(port, program, scratch, password))
        stack.callback(server.stop)
        yield server


def worker_redis_url(url: str, worker: str) -> str:
    """Return the URL of a Redis database that only this pytest-xdist worker uses.

    `worker` is pytest-xdist's name for the process ("gw0", "gw1", …; empty without xdist).
    """
    number = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
    if number >= REDIS_DATABASES:
        raise ValueError(f"Redis has {REDIS_DATABASES} databases: use fewer test workers")
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _create_cluster(program: Program, folder: Path, account: Account, password: str) -> None:
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    account.own(secret)
    command: list[str | Path] = [
        program.path / "initdb",
        f"--pgdata={folder / 'data'}",
        "--username=outbound",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-sync",
        *_locale(program),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        cwd=folder,
        env=server_environment(),
        **account.options(),
    )
    if done.returncode:
        raise ServerUnavailableError(f"{program.label()} made no cluster:\n{done.stderr[-2000:]}")


def _locale(program: Program) -> list[str]:
    if program.version >= (17,):
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    # The plain C locale would make lower() and ILIKE blind to anything outside ASCII.
    return ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=en_US.UTF-8"]


def _postgres_on(
    port: int, program: Program, folder: Path, account: Account, password: str, *, durable: bool
) -> Server:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "timezone": "UTC",
        **(_DURABLE if durable else _FAST),
        **(_COUNTING if durable and _can_count(program) else {}),
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return Server(
        label=program.label(),
        url=f"postgres://outbound:{password}@127.0.0.1:{port}/{DATABASE}",
        command=[program.path / "postgres", "-D", folder / "data", "-p", str(port), *options],
        folder=folder,
        account=account,
        stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown: does not wait for clients
        probe=_postgres_answers,
    )


def _can_count(program: Program) -> bool:
    return any(program.path.parent.rglob("pg_stat_statements.so"))


def _redis_on(port: int, program: Program, folder: Path, password: str) -> Server:
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\nrequirepass {password}\n"
        f'databases {REDIS_DATABASES}\nsave ""\nappendonly no\ndaemonize no\n'
    )
    return Server(
        label=program.label(),
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        command=[program.path, settings],
        folder=folder,
        probe=_redis_answers,
    )


def _started(build: Callable[[int], Server]) -> Server:
    for _ in range(PORT_TRIES - 1):
        server = build(_free_port())
        with suppress(ServerUnavailableError):  # somebody else may have taken the port just now
            server.start()
            return server
    server = build(_free_port())
    server.start()
    return server


def _postgres_answers(url: str) -> bool:
    try:
        with psycopg.connect(_maintenance_url(url), connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _redis_answers(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _create_database(url: str) -> None:
    with psycopg.connect(_maintenance_url(url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _maintenance_url(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/postgres"))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _folder(account: Account) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="outbound-test-"))
    account.own(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Run a command beside private servers and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.services", description=__doc__)
    parser.add_argument("--no-redis", action="store_true", help="start PostgreSQL only")
    parser.add_argument("--durable", action="store_true", help="PostgreSQL as in production")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after --")
    options = parser.parse_args(arguments)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _leave)
    environment = dict(os.environ)
    try:
        with ExitStack() as stack:
            servers = {"DATABASE_URL": stack.enter_context(postgres(durable=options.durable))}
            if not options.no_redis:
                servers["REDIS_URL"] = stack.enter_context(redis())
            environment.update({name: server.url for name, server in servers.items()})
            _say("servers: " + ", ".join(server.label for server in servers.values()))
            return foreground.run(options.command, environment)
    except ServerUnavailableError as problem:
        _say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _leave(signum: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signum)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
