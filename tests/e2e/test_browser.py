"""Staff at work in a real browser: a failed message is found, read and requeued."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.stack import Stack

PASSWORD = "correct-horse-battery"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.core,
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM and os.environ.get("REQUIRE_BROWSER") != "1",
        reason="browser tests need Chromium: install it or set CHROMIUM to its path",
    ),
]


@pytest.fixture(scope="module")
def page(stack: Stack) -> Iterator[Page]:
    """A logged-in page that fails the test on console errors and requests to elsewhere."""
    assert CHROMIUM, "REQUIRE_BROWSER=1, but no Chromium was found: set CHROMIUM to its path"
    stack.env["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    stack.manage("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org")
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-quic"],
        )
        page = browser.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((stack.base_url, "data:", "blob:"))
                else faults.append(r.url)
            ),
        )
        page.goto(f"{stack.base_url}/admin/")
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("text=Dead letter queue")
        yield page
        browser.close()
    assert faults == []


def test_a_dead_letter_is_read_and_requeued(stack: Stack, page: Page):
    phone = "+12025554242"
    rule = {"recipient": phone, "behaviours": [{"error": 131009}, "ok"]}
    stack.sandbox("POST", "rules", json=rule)
    message_id = stack.queue(phone)
    stack.wait_status(message_id, "FAILED")

    page.goto(f"{stack.base_url}/admin/messaging/deadletter/?q={phone.replace('+', '%2B')}")
    page.click("#result_list tbody tr th a")
    assert "Correct the request named in the text" in page.inner_text("body")
    page.click("text=Timeline")
    page.wait_for_selector("text=Answer of the provider")
    page.click("text=Requeue")
    page.fill("[name=reason]", "corrected at Meta")
    page.click("button:has-text('Requeue')")
    page.wait_for_selector("text=1 message(s) requeued.")

    message = stack.wait_status(message_id, "DELIVERED")
    assert "corrected at Meta" in [line["reason"] for line in message["timeline"]]


def test_the_api_page_shows_the_calls(stack: Stack, page: Page):
    page.goto(f"{stack.base_url}/api/docs/")
    page.get_by_text("Send a message").wait_for()
    page.get_by_text("Take a webhook of Meta").wait_for()
