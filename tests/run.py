"""Runs the whole suite: on private PostgreSQL and Redis servers, then on the embedded default.

`python -m tests.run [--only servers|embedded] [--full] [-- PYTEST ARGUMENTS]`
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests import foreground

PYTEST = [sys.executable, "-m", "pytest"]
# Long modules have few tests: in the given order they do not all come last.
PARALLEL = ["-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"]
SERVERS = [
    *[sys.executable, "-m", "tests.services", "--"],
    *[*PYTEST, "-p", "tests.worker_redis", *PARALLEL],
]
EMBEDDED = [*PYTEST, *PARALLEL, "-m", "core and not full"]
# Chosen by marker; an -m among the arguments takes the place of either.
USUAL = ["-m", "not full and not pictures"]
FULL = ["-m", "not pictures"]
SIGNALLED = 128  # exit codes above it name a signal
# Processes of their own serve the files this collects; it connects to no server.
COLLECT = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
COLLECT_FOR = {
    "OUTBOUND_TESTING": "",
    "DATABASE_URL": "postgres://database.invalid/none",
    "REDIS_URL": "redis://redis.invalid/0",
}
NO_TESTS = 5  # pytest's exit code when nothing matched

# Secrets that protect nothing: the servers live only as long as the tests.
PRODUCTION_LIKE = {
    "SECRET_KEY": "only-for-tests-" * 5,
    "OUTBOUND_ENCRYPTION_KEYS": "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtISE=",
    "OUTBOUND_HTTPS": "false",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One run of pytest and how it ended."""

    name: str
    code: int
    seconds: float

    def line(self) -> str:
        """Return the line of the summary about this run."""
        verdict = {0: "passed", NO_TESTS: "no test selected"}.get(self.code, "FAILED")
        if self.stopped():
            verdict = "stopped"
        return f"{self.name}: {verdict} in {self.seconds:.0f} s"

    def stopped(self) -> bool:
        """Tell whether somebody asked us to stop."""
        return self.code > SIGNALLED


def main(arguments: Sequence[str]) -> int:
    """Run the parts one after the other; return 0 only if none failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("--only", choices=("servers", "embedded"), help="run one part only")
    parser.add_argument("--full", action="store_true", help="with the long tests too")
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="handed to pytest, after --")
    options = parser.parse_args(arguments)
    servers = [*SERVERS, *(FULL if options.full else USUAL)]
    commands = {
        "PostgreSQL and Redis": servers if options.only != "embedded" else None,
        "Embedded (SQLite, one process)": EMBEDDED if options.only != "servers" else None,
    }
    parts: list[Part] = []
    for name, command in commands.items():
        if command is None:
            continue
        parts.append(_run(name, [*command, *options.pytest], on_servers=command is servers))
        if parts[-1].stopped():
            break
    for part in parts:
        _say(part.line())
    return _verdict(parts, selected=bool(options.pytest))


def _run(name: str, command: Sequence[str], *, on_servers: bool) -> Part:
    _say(f"--- {name} ---")
    begun = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outbound-test-")))
        environment = _environment(folder, on_servers=on_servers)
        code = foreground.run(COLLECT, environment | COLLECT_FOR) if on_servers else 0
        code = code or foreground.run(command, environment)
    return Part(name, code, time.monotonic() - begun)


def _environment(folder: Path, *, on_servers: bool) -> dict[str, str]:
    # Nothing of the caller's own installation may reach the tests.
    ours = ("OUTBOUND_", "WHATSAPP_", "CELERY_", "DATABASE_", "REDIS_", "SANDBOX_", "DJANGO_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    kept.pop("SECRET_KEY", None)
    return kept | {
        "OUTBOUND_TESTING": "1",
        "OUTBOUND_VAR_DIR": str(folder / "var"),
        "STATIC_ROOT": str(folder / "static"),
        **(PRODUCTION_LIKE if on_servers else {}),
    }


def _verdict(parts: Sequence[Part], *, selected: bool) -> int:
    codes = [part.code for part in parts]
    if selected and any(code == 0 for code in codes):
        # Chosen tests need not exist in both parts.
        codes = [code for code in codes if code != NO_TESTS]
    return max(codes)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
