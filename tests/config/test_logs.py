from __future__ import annotations

import json
import logging
import sys

import pytest

from config import logs

pytestmark = pytest.mark.core


def line(text: str, *, error: bool = False, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("messaging", logging.INFO, "f", 1, text, (), None)
    record.__dict__.update(extra)
    if error:
        try:
            raise ValueError("row (+12025550123) violates")
        except ValueError:
            record.exc_info = sys.exc_info()
    return json.loads(logs.JsonFormatter().format(record))


def test_a_line_holds_the_ids():
    written = line("Attempt finished", message_id="m", org_id="acme", attempt=2)
    assert (written["message_id"], written["org_id"], written["attempt"]) == ("m", "acme", 2)
    assert written["at"].endswith("+00:00")


def test_a_field_nobody_decided_on_is_left_out():
    assert "phone" not in line("x", phone="+12025550123", body="hi")


@pytest.mark.parametrize(
    "secret",
    [
        "+12025550123",
        "12025550123",
        "ob_abcdefgh_0123456789abcdef",
        "EAAGabcdefghijklm",
        "Bearer abc.def",
        "postgres://user:hunter2@host/db",
    ],
)
def test_what_looks_secret_is_masked(secret):
    assert secret not in json.dumps(line(f"failed for {secret} today"))


def test_an_error_shows_where_but_not_its_own_text():
    written = line("boom", error=True)
    assert written["error"] == "ValueError"
    assert "test_logs.py" in written["trace"]
    assert "2025550123" not in json.dumps(written)


def test_ids_of_messages_are_not_masked():
    message_id = "01a20d77-813a-7bb3-89f0-c55a073eca81"
    assert message_id in json.dumps(line(f"message {message_id}"))
