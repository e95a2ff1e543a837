"""Takes the pictures in docs/images: `make screenshots`, not part of the tests.

Those of the README lie there; those of every page, in docs/images/pages, are not in the repository.

The data is the demonstration's: numbers that belong to nobody, on an installation at work.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from messaging.management.demo.scenarios import REVOKED, SCENARIOS, WITHOUT_CONSENT, body
from tests.browser import pages, scene_steps
from tests.browser.scene import scene as scene
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.pictures]

PASSWORD = "correct-horse-battery"
FIRST = "#result_list tbody tr th a"
DEAD = "/admin/messaging/deadletter/causes/"
# Name of the picture → the page; "…/first" opens the first row of the list.
PAGES = {
    "dashboard": "/admin/",
    "message": "/admin/messaging/outboundmessage/?status=DELIVERED/first",
    "dead-letters": DEAD,
    "operation": "/admin/messaging/bulkoperation/first",
    "number": "/admin/messaging/phonenumber/first",
    "test-message": "/admin/test-message/",
}


@pytest.fixture(scope="module")
def demo(stack: Stack) -> Stack:
    """The installation after the demonstration's messages."""
    stack.env["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    stack.manage("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org")
    stack.manage("sync_templates")
    ids = []
    for place, scenario in enumerate(SCENARIOS, start=1):
        if scenario.to not in WITHOUT_CONSENT | REVOKED and not scenario.marketing:
            stack.consent(scenario.to)
            key = {"Idempotency-Key": f"demo-{place}"}
            answer = stack.api("POST", "outbound-messages", json=body(scenario, place), headers=key)
            ids.append((answer.json()["id"], scenario.end))
    for message_id, end in ids:
        stack.wait_status(message_id, end)
    # The schedule would do so a little later.
    stack.manage("shell", "-c", "from messaging import activity; activity.count_recent()")
    return stack


@pytest.mark.timeout(600)  # the demonstration's messages take a minute to come to their ends
@pytest.mark.parametrize(
    ("suffix", "theme", "viewport", "names"),
    [
        ("", "light", pages.WIDE, list(PAGES)),
        ("-dark", "dark", pages.WIDE, ["dashboard"]),
        ("-phone", "dark", pages.NARROW, ["dashboard"]),
    ],
    ids=["desk", "dark", "phone"],
)
def test_pictures(browser: Browser, demo: Stack, suffix, theme, viewport, names):
    context = {"viewport": viewport, "color_scheme": theme}
    with pages.watched(browser, demo.base_url, **context) as page:
        pages.log_in_by_form(page, "ada", PASSWORD)
        if "operation" in names:
            _discard_some(page)
        for name in names:
            path, first, _ = PAGES[name].partition("/first")
            page.goto(path)
            if first:
                page.goto(page.locator(FIRST).first.get_attribute("href") or "")
            if name == "test-message":
                _choose_template(page)
            page.wait_for_load_state("networkidle")
            pages.picture(page, f"{name}{suffix}", whole=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("theme", "viewport"),
    [("light", pages.WIDE), ("dark", pages.WIDE), ("dark", pages.NARROW)],
    ids=["light", "dark", "phone"],
)
def test_pictures_of_every_page(open_page, staff, scene: dict[str, str], theme, viewport, settings):
    """To look at; kept by nobody."""
    settings.OUTBOUND_TOTP = "optional"
    page = open_page(staff, viewport=viewport, color_scheme=theme)
    size = "phone" if viewport == pages.NARROW else theme
    for name in scene_steps.visits(page, scene):
        # A window as tall as the page: what is fixed at its end hides nothing.
        tall = page.evaluate(
            "Math.max(...[...document.querySelectorAll('*')].map(e => e.scrollHeight))"
        )
        page.set_viewport_size({**viewport, "height": max(viewport["height"], min(tall, 4000))})
        pages.picture(page, f"pages/{name}-{size}", whole=False)
        page.set_viewport_size(viewport)


def _discard_some(page: Page) -> None:
    """Begin an operation on one cause, so that there is one to show."""
    page.goto(DEAD)
    page.locator("a:has-text('Discard all')").nth(1).click()
    page.fill("[name=reason]", "the numbers are no longer in use")
    page.locator("button:has-text('Discard')").click()
    page.wait_for_selector("text=Begun by")


def _choose_template(page: Page) -> None:
    page.select_option("[name=number]", index=1)
    page.wait_for_selector("[name=template] option:has-text('order_update')", state="attached")
    page.select_option("[name=template]", label="order_update (en_US, utility)")
    page.fill("[name='body-1']", "Bea")
    page.fill("[name='body-2']", "#1077")
    page.wait_for_selector("text=#1077")
