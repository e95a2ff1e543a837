"""How the virtual environment is made and kept up to date."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that matter, without a virtual environment."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for lock in LOCKS:
        shutil.copy(ROOT / lock, tmp_path)
    return tmp_path


@pytest.fixture
def calls(checkout: Path) -> Path:
    """A virtual environment whose Python only writes down what it was asked to do."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    log = checkout / "calls"
    log.touch()
    python = programs / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo "$@" >> \'{log}\'\n')
    python.chmod(0o755)
    return log


def bootstrap(checkout: Path, what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "tools/bootstrap.sh", what],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_usable_python_it_says_what_is_missing(checkout: Path):
    old = checkout / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = bootstrap(checkout, "runtime", PYTHON=str(old))
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert str(old) in done.stderr


def test_pip_installs_the_lock_by_hash_when_uv_cannot_be_had(checkout: Path, calls: Path):
    assert bootstrap(checkout, "runtime").returncode == 0
    last = calls.read_text().splitlines()[-1]
    assert "pip" in last
    assert last.endswith("install --require-hashes -r requirements.txt")


def test_nothing_is_installed_twice(checkout: Path, calls: Path):
    bootstrap(checkout, "dev")
    calls.write_text("")
    for what in ("dev", "runtime", "dev"):
        assert bootstrap(checkout, what).returncode == 0
    assert calls.read_text() == ""


def test_a_changed_lock_is_installed(checkout: Path, calls: Path):
    bootstrap(checkout, "dev")
    calls.write_text("")
    with (checkout / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    bootstrap(checkout, "dev")
    assert "requirements-dev.txt" in calls.read_text()


def test_development_is_installed_again_after_the_runtime_lock_changed(checkout: Path, calls: Path):
    before = (checkout / "requirements.txt").read_text()
    bootstrap(checkout, "dev")
    (checkout / "requirements.txt").write_text(before + "# changed\n")
    bootstrap(checkout, "runtime")
    (checkout / "requirements.txt").write_text(before)
    calls.write_text("")
    bootstrap(checkout, "dev")
    assert "requirements-dev.txt" in calls.read_text()


def test_a_failed_installation_is_not_taken_for_done(checkout: Path, calls: Path):
    bootstrap(checkout, "runtime")
    lock, python = checkout / "requirements.txt", checkout / ".venv" / "bin" / "python"
    good_lock, good_python = lock.read_text(), python.read_text()
    lock.write_text(good_lock + "# changed\n")
    python.write_text(good_python + '[ "$1" = -c ]\n')
    assert bootstrap(checkout, "runtime").returncode != 0
    # Half of the other packages may be there now, so going back needs an installation too.
    lock.write_text(good_lock)
    python.write_text(good_python)
    calls.write_text("")
    assert bootstrap(checkout, "runtime").returncode == 0
    assert calls.read_text()
