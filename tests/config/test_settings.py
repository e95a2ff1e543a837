"""Settings: a wrong one stops the process by its name, and no secret has a default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env, local_secrets

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "DATABASE_URL": "postgres://u:hunter2@localhost/db",
    "REDIS_URL": "redis://localhost/0",
    "SECRET_KEY": "x" * 60,
    "OUTBOUND_ENCRYPTION_KEYS": "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtISE=",
}


def start(tmp_path: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    given = {**PRODUCTION, "OUTBOUND_VAR_DIR": str(tmp_path), **changes}
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, "-c", "from config import settings; print(settings.DEBUG)"],
        cwd=ROOT,
        env={**kept, **{k: v for k, v in given.items() if v is not None}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_starts_with_what_it_needs_and_without_debug(tmp_path):
    done = start(tmp_path)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("OUTBOUND_ENCRYPTION_KEYS", None),
        ("DATABASE_URL", None),
        ("DATABASE_URL", "mysql://localhost/db"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", None),
        ("DEBUG", "perhaps"),
        ("OUTBOUND_SEND_CONCURRENCY", "many"),
        ("OUTBOUND_SEND_CONCURRENCY", "0"),
        ("OUTBOUND_RETRY_SCHEDULE_SECONDS", "0,-1"),
        ("OUTBOUND_LEASE_SECONDS", "10"),
        ("WHATSAPP_CLOUD_API_BASE_URL", "graph.facebook.com"),
        ("OUTBOUND_METRICS_NETWORKS", "10.0.0.0/8,10.0.0.1/8"),
        ("OUTBOUND_TRACING_ENDPOINT", "collector:4318"),
        ("OUTBOUND_TRACING_SHARE", "2"),
    ],
)
def test_a_wrong_value_stops_the_start_by_its_name(tmp_path, name, value):
    done = start(tmp_path, **{name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert name in last
    assert "hunter2" not in done.stderr


def test_another_broker_makes_redis_unnecessary(tmp_path):
    done = start(tmp_path, REDIS_URL=None, CELERY_BROKER_URL="amqp://localhost//")
    assert done.returncode == 0, done.stderr


def test_the_embedded_profile_needs_nothing(tmp_path):
    done = start(tmp_path, **dict.fromkeys(PRODUCTION))
    assert done.returncode == 0, done.stderr
    secret = tmp_path / "secret_key.secret"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_local_secret_is_made_once(tmp_path):
    path = tmp_path / "a" / "secret"
    first = local_secrets.read_or_create(path, lambda: "one")
    assert (first, local_secrets.read_or_create(path, lambda: "two")) == ("one", "one")


def test_a_secret_may_come_from_a_file(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("from a file\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    assert env.text("SECRET_KEY") == "from a file"


def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE"):
        env.text("SECRET_KEY")


def test_a_duration_is_never_nan(monkeypatch):
    monkeypatch.setenv("SOME_SECONDS", "nan")
    with pytest.raises(ImproperlyConfigured, match="SOME_SECONDS"):
        env.seconds("SOME_SECONDS", 1.0)
