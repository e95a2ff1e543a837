"""Takes the pictures in docs/images: `make screenshots`, not part of the tests.

The data is the demonstration's: numbers that belong to nobody, on an installation at work.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from messaging.management.demo.scenarios import REVOKED, SCENARIOS, WITHOUT_CONSENT, body
from tests.browser import pages
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.pictures]

PASSWORD = "correct-horse-battery"
FIRST = "#result_list tbody tr th a"
# Name of the picture → the page; "…/first" opens the first row of the list.
PAGES = {
    "dashboard": "/admin/",
    "messages": "/admin/messaging/outboundmessage/",
    "message": "/admin/messaging/outboundmessage/?status=DELIVERED/first",
    "dead-letters": "/admin/messaging/deadletter/causes/",
    "templates": "/admin/messaging/messagetemplate/",
    "template": "/admin/messaging/messagetemplate/?q=order_update/first",
    "numbers": "/admin/messaging/phonenumber/",
    "number": "/admin/messaging/phonenumber/first",
    "connect": "/admin/messaging/phonenumber/add/",
    "test-message": "/admin/test-message/",
    "contacts": "/admin/consent/contact/",
    "contact": "/admin/consent/contact/first",
    "consents": "/admin/consent/consent/",
    "webhooks": "/admin/messaging/webhookdelivery/",
    "schedules": "/admin/django_celery_beat/periodictask/",
    "audit": "/admin/orgs/auditevent/",
}
# These also as a phone shows them, in the dark.
ON_A_PHONE = ("dashboard", "messages", "message", "number")


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
    return stack


@pytest.mark.parametrize(
    ("suffix", "theme", "viewport", "names"),
    [("", "light", pages.WIDE, list(PAGES)), ("-phone", "dark", pages.NARROW, ON_A_PHONE)],
    ids=["desk", "phone"],
)
def test_pictures(browser: Browser, demo: Stack, suffix, theme, viewport, names):
    context = {"viewport": viewport, "color_scheme": theme}
    with pages.watched(browser, demo.base_url, **context) as page:
        pages.log_in_by_form(page, "ada", PASSWORD)
        for name in names:
            path, first, _ = PAGES[name].partition("/first")
            page.goto(path)
            if first:
                page.goto(page.locator(FIRST).first.get_attribute("href") or "")
            page.wait_for_load_state("networkidle")
            pages.picture(page, f"{name}{suffix}", whole=False)
