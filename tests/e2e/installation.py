"""What a stack begins with: a migrated database with one organisation, number and API key.

It is made once per server or profile; each stack takes a copy, because migrating takes seconds."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.run import PRODUCTION_LIKE

ROOT = Path(__file__).parents[2]
NUMBER = "200000000000001"
META_SECRETS = {
    "WHATSAPP_ACCESS_TOKEN": "e2e-token",
    "WHATSAPP_APP_SECRET": "e2e-app-secret",
    "WHATSAPP_VERIFY_TOKEN": "e2e-verify-token",
}
COMMANDS = [
    ["migrate", "--verbosity", "0"],
    ["seed_schedules"],
    ["create_org", "acme", "--name", "Acme"],
    [
        *["connect_number", "acme", "--app-id", "300000000000001", "--no-verify"],
        *["--waba-id", "100000000000001", "--phone-number-id", NUMBER],
    ],
    ["create_api_key", "acme", "--scopes", "send,read,manage", "--plain"],
]
# One process for all of them: starting one costs more than what it does here.
RUN = (
    "import django, json, sys; django.setup(); from django.core.management import call_command; "
    "[call_command(*command) for command in json.loads(sys.argv[1])]"
)
RUN_SECONDS = 120


def environment() -> dict[str, str]:
    """Return the environment of a process of its own: no plug-in of the tests may act in it."""
    inherited = {name: text for name, text in os.environ.items() if name != "OUTBOUND_TESTING"}
    return {**inherited, "DJANGO_SETTINGS_MODULE": "config.settings", **META_SECRETS}


def embedded_environment() -> dict[str, str]:
    """Return the environment without the servers that the tests run on."""
    servers = {"DATABASE_URL", "REDIS_URL"}
    return {name: text for name, text in environment().items() if name not in servers}


def copy_folder(var: Path) -> str:
    """Fill the var folder of the embedded profile; return the API key in it."""
    template, api_key = _template_folder()
    shutil.copytree(template, var, dirs_exist_ok=True)
    return api_key


def copy_database(server: str) -> tuple[str, str]:
    """Return the URL of a new database on a server, and the API key in it."""
    template, api_key = _template_database(server)
    return _create_database(server, f" TEMPLATE {urlsplit(template).path[1:]}"), api_key


def drop_database(url: str) -> None:
    """Drop a database, whoever still uses it."""
    with psycopg.connect(_at(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")


@cache
def _template_database(server: str) -> tuple[str, str]:
    url = _create_database(server)
    return url, _install({**PRODUCTION_LIKE, **environment(), "DATABASE_URL": url})


@cache
def _template_folder() -> tuple[Path, str]:
    folder = Path(tempfile.mkdtemp(prefix="outbound-e2e-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder, _install({**embedded_environment(), "OUTBOUND_VAR_DIR": str(folder)})


def _create_database(server: str, options: str = "") -> str:
    name = f"e2e_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{options}")
    return _at(server, name)


def _at(server: str, database: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


def _install(env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(COMMANDS)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]
