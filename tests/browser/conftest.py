"""One Chromium and one web server for all browser tests; a watched page for each.

They run on PostgreSQL and Redis only: the pages are the same on the embedded profile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, Page, sync_playwright
from waitress.server import create_server

from tests.browser import chromium, pages
from tests.e2e.conftest import stack as stack
from tests.sandbox.conftest import program as program
from tests.sandbox.conftest import receiver as receiver
from tests.sandbox.conftest import sandbox as sandbox

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, once per test process."""
    program = chromium.find()
    if not program and not chromium.is_required():
        pytest.skip(chromium.MISSING)
    assert program, chromium.MISSING
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop stands in this thread; Django would refuse the database there.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        opened = playwright.chromium.launch(executable_path=program, args=chromium.ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def web_url() -> Iterator[str]:
    """The whole site, served from this process on the tests' database."""
    # Not config.wsgi: what that starts for a process of its own outlives the tests' database.
    server = create_server(get_wsgi_application(), host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
    thread.join(10)


@pytest.fixture
def staff(transactional_db: None) -> AbstractBaseUser:
    """Ada, who may do everything."""
    return get_user_model().objects.create_superuser("ada", "ada@example.org", "correct-horse")


@pytest.fixture
def open_page(
    browser: Browser, web_url: str, transactional_db: None
) -> Iterator[Callable[..., Page]]:
    """Open a watched page: `open_page(user, color_scheme="dark")`; user None: nobody."""
    with ExitStack() as stack:

        def make(user: AbstractBaseUser | None = None, **context: Any) -> Page:
            page = stack.enter_context(pages.watched(browser, web_url, **context))
            if user is not None:
                pages.log_in(page, web_url, user)
            return page

        yield make


@pytest.fixture
def page(open_page: Callable[..., Page], staff: AbstractBaseUser) -> Page:
    """Ada's page, 1280 wide and light."""
    return open_page(staff)
