"""Pages that are watched: what goes wrong in the browser fails the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
THEMES = ("light", "dark")  # for color_scheme
PATIENCE_MS = 20_000  # a busy machine is slow, not wrong

# After a click the next page may be there in part only: tests `expect`, they do not look once.
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def watched(browser: Browser, base_url: str, **context: Any) -> Iterator[Page]:
    """Open a page with cookies of its own; at the end nothing may have gone wrong.

    Console errors, errors of scripts and requests to any other host count. ``context`` goes to
    Playwright, as in ``viewport=NARROW`` or ``color_scheme="dark"``, which the console follows.
    `page.goto` takes paths.
    """
    faults: list[str] = []
    opened = browser.new_context(base_url=base_url, **{"viewport": WIDE, **context})
    opened.set_default_timeout(PATIENCE_MS)
    page = opened.new_page()
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    ours = (f"{base_url}/", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else faults.append(r.url))
    try:
        yield page
    finally:
        opened.close()
    assert faults == [], faults


def address(name: str, *arguments: object) -> str:
    """Return the path of a page of the console by its name in the admin."""
    return reverse(f"admin:{name}", args=arguments)


def log_in(page: Page, base_url: str, user: AbstractBaseUser) -> None:
    """Give the page a session of this user, without the form."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"]
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": base_url}])


def log_in_by_form(page: Page, username: str, password: str) -> None:
    """Log in as people do, and wait for the console."""
    page.goto("/admin/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_selector("text=Dead letter queue", state="attached")  # hidden on a phone


def picture(page: Page, name: str, *, whole: bool = True) -> None:
    """Keep a picture in the folder SCREENSHOTS names, if it names one.

    It shows the ``whole`` page, or only what the window shows.
    """
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)
