"""What the repository's own files must say and must not say."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.txt", "requirements-dev.txt", "tools/requirements-uv.txt"]
TARGETS = {
    *("setup", "demo", "run", "worker", "beat", "test", "lint", "format", "check", "lock"),
    *("migrations", "bench"),
}
# Folders of one machine, and package indexes: neither means anything to somebody else.
PRIVATE = re.compile(
    r"(?<![\w.$}-])/(?:work|root|home/\w+)/"
    r"|pypi\.org/(?:simple|pypi)|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)"
    r"|(?:extra-)?index-url[= ]+\w+://"
)


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return dict(found)


def test_make_lists_every_target_with_what_it_does():
    shown = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    texts = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert set(texts) >= TARGETS
    assert all(len(text) > 10 for text in texts.values())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_download_from(lock: str):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str):
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_development_lock_contains_what_runs_in_production():
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_every_named_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {
        "requirements.txt": project["dependencies"],
        "requirements-dev.txt": project["optional-dependencies"]["dev"],
    }
    for lock, wanted in groups.items():
        names = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower() for text in wanted}
        assert names - set(pins(lock)) == set()


def test_the_image_holds_nothing_but_what_the_service_runs_on():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert not any(line.startswith(("!tests", "!bench", "!.", "!var")) for line in lines)


def test_compose_starts_everything_in_order():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    monitoring = {name for name in services if services[name].get("profiles") == ["monitoring"]}
    assert monitoring == {"prometheus", "grafana"}
    parts = {"postgres", "redis", "migrate", "web", "worker", "beat", "sandbox"}
    assert set(services) == parts | monitoring
    for name in ("web", "worker", "beat"):
        waits = services[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}
        assert waits["postgres"] == {"condition": "service_healthy"}
    assert services["worker"]["stop_grace_period"] == "60s"
    assert services["sandbox"]["profiles"] == ["sandbox"]


def test_compose_has_no_secret_of_its_own():
    text = (ROOT / "compose.yaml").read_text()
    for name in ("SECRET_KEY", "OUTBOUND_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_no_tracked_file_names_a_folder_or_an_index_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if name in LOCKS or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += [f"{name}: {match.group()}" for match in PRIVATE.finditer(text)]
    assert found == []
