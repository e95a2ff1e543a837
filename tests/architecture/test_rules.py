"""Rules of the house that a machine can watch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.module_loading import import_string
from django_celery_beat.models import PeriodicTask

from config.celery import app as celery_app
from messaging import schedules, wake

pytestmark = pytest.mark.core

ROOT = Path(__file__).parents[2]
APPS = ("config", "orgs", "consent", "ratelimit", "messaging", "alerts", "console", "sandbox")
CODE = [
    path for name in APPS for path in (ROOT / name).rglob("*.py") if "migrations" not in path.parts
]


def test_only_the_writer_the_claim_and_the_everyday_answer_set_a_status():
    pattern = re.compile(
        r"\.status\s*=(?!=| ')|update\(\s*status=|status=Status\.\w+,\n\s+due_at=None"
        r"|UPDATE outbound_message SET status"
    )
    messaging = [path for path in CODE if path.is_relative_to(ROOT / "messaging")]
    found = {path.name for path in messaging if pattern.search(path.read_text())}
    assert found == {"transitions.py", "claims.py", "acceptance.py"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_subject(path):
    assert len(path.read_text().splitlines()) <= 400


def test_no_attic_is_opened():
    banned = {"utils.py", "helpers.py", "common.py", "services.py", "managers.py"}
    assert not [path for path in CODE if path.name in banned]


def test_pages_are_styled_by_the_style_sheet_alone():
    # Mail programs know no other way than styles in the text.
    pages = [path for path in (ROOT / "templates").rglob("*.html") if "email" not in path.parts]
    assert [str(path.relative_to(ROOT)) for path in pages if "style=" in path.read_text()] == []


def test_every_scheduled_and_woken_task_exists():
    celery_app.loader.import_default_modules()
    wanted = {entry.task for entry in settings.OUTBOUND_SCHEDULE} | {wake.SEND, wake.RECEIPTS}
    assert wanted <= set(celery_app.tasks)


def test_every_dotted_path_in_the_settings_resolves():
    paths = [
        *settings.OUTBOUND_PROVIDERS.values(),
        settings.REST_FRAMEWORK["EXCEPTION_HANDLER"],
        *settings.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"],
    ]
    for path in paths:
        assert import_string(path)


@pytest.mark.django_db
def test_schedules_are_seeded_once_and_never_overwritten():
    assert len(schedules.seed()) == len(settings.OUTBOUND_SCHEDULE)
    task = PeriodicTask.objects.get(task="messaging.cancel_expired")
    task.enabled = False
    task.save()
    assert schedules.seed() == []
    task.refresh_from_db()
    assert not task.enabled


def test_every_setting_is_in_the_example():
    files = [ROOT / "config" / name for name in ("settings.py", "alerting.py")]
    source = "".join(path.read_text() for path in files)
    names = set(re.findall(r'(?:env\.\w+|_secret)\(\s*"([A-Z_]+)"', source)) - {"OUTBOUND_TESTING"}
    example = (ROOT / ".env.example").read_text()
    assert [name for name in sorted(names) if f"{name}=" not in example] == []
