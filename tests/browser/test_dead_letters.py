"""The dead letter queue in a real browser, with the workers' part done by the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from messaging.dead_letters import working
from messaging.models import OutboundMessage
from messaging.states import Status
from tests.browser import pages
from tests.browser.pages import picture
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory
from tests.messaging.dead_letters.cast import dead, requeue_all

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 1000


@pytest.fixture
def worker() -> Iterator[threading.Event]:
    """Do what a worker's thread for chores does, in a thread; set the event to let it begin."""
    begin, end = threading.Event(), threading.Event()

    def run() -> None:
        begin.wait()
        while not end.is_set():
            if not working.proceed():
                end.wait(0.2)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield begin
    end.set()
    begin.set()
    thread.join(30)


@pytest.fixture
def queue(number) -> None:
    """A queue with one large cause, some that cannot go, and another cause."""
    contact = ContactFactory(org=number.org)
    ConsentFactory(contact=contact)
    now = timezone.now()
    large = MessageFactory.build_batch(
        MANY,
        phone_number=number,
        contact=contact,
        status=Status.FAILED,
        error_code="131016",
        error_message="Service overloaded.",
        failed_at=now - timedelta(hours=2),
        attempt_count=5,
    )
    for place, message in enumerate(large):
        message.org_id = number.org_id
        if place < 12:
            message.expires_at = now - timedelta(hours=1)
    OutboundMessage.objects.bulk_create(large)
    dead(number, 3, error_code="131026", failed_at=now - timedelta(days=1, hours=3))
    dead(number, 2, error_code="131049", category="marketing", purpose="marketing")


def test_a_filter_of_a_thousand_is_requeued_with_progress(page: Page, queue, worker, monkeypatch):
    monkeypatch.setattr(working, "BATCH", 100)
    page.goto("/admin/")
    page.click("nav >> text=Dead letter queue")
    page.wait_for_selector("#causes")
    expect(page.locator("body")).to_contain_text("1,003 failed messages")
    picture(page, "dead-letters-causes")
    page.click("#causes >> text=131016")
    page.wait_for_selector("#result_list")
    picture(page, "dead-letters-list")
    page.click("#requeue-all")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("1,000 match")
    expect(preview).to_contain_text("988 would send")
    expect(preview).to_contain_text("12 have expired")
    picture(page, "dead-letters-preview")
    page.fill("[name=reason]", "Meta has mended it")
    page.click("button:has-text('Requeue')")
    page.wait_for_selector("#progress >> text=Running")
    expect(page.locator("progress")).to_have_attribute("max", "1000")
    worker.set()
    page.wait_for_selector("#progress >> text=Done")  # without reloading the page
    expect(page.locator("#progress")).to_contain_text("988 requeued")
    expect(page.locator("#progress")).to_contain_text("12 have expired")
    picture(page, "operation-done")
    assert OutboundMessage.objects.filter(status=Status.QUEUED).count() == 988


def test_a_discard_of_all_is_stopped_finished_and_undone(page: Page, number, worker):
    dead(number, 5)
    page.goto("/admin/messaging/deadletter/causes/")
    page.click("#discard-all")
    expect(page.locator("#preview")).to_contain_text("5 match")
    page.fill("[name=reason]", "no longer wanted")
    page.click("button:has-text('Discard')")
    page.click("#progress >> a:has-text('Stop')")
    page.fill("[name=reason]", "wrong template")
    page.click("button:has-text('Stop')")
    page.wait_for_selector("#progress >> text=Stopped")
    picture(page, "operation-stopped")
    page.click("#progress >> a:has-text('Go on')")
    page.fill("[name=reason]", "it was right")
    page.click("button:has-text('Go on')")
    page.wait_for_selector("#progress >> text=Running")
    worker.set()
    page.wait_for_selector("text=Undo the discard")
    assert not OutboundMessage.objects.dead().exists()
    picture(page, "operation-discarded")
    page.fill("#progress [name=reason]", "too hasty")
    page.click("button:has-text('Undo the discard')")
    page.wait_for_selector("#progress >> text=5 restored")
    assert OutboundMessage.objects.dead().count() == 5


def test_one_message_is_discarded_and_restored(page: Page, number):
    (message,) = dead(number)
    page.goto(f"/admin/messaging/deadletter/{message.pk}/discard")
    page.fill("[name=reason]", "wrong address")
    page.click("button:has-text('Discard')")
    page.wait_for_selector("text=1 message(s) discarded.")
    page.goto("/admin/messaging/discard/")
    picture(page, "discarded-lately")
    page.goto(f"/admin/messaging/outboundmessage/{message.pk}/change/")
    page.click("a:has-text('Undo discard')")
    page.fill("[name=reason]", "right after all")
    page.click("button:has-text('Restore')")
    page.wait_for_selector("text=1 message(s) restored.")
    assert OutboundMessage.objects.dead().count() == 1


@pytest.mark.parametrize("theme", pages.THEMES)
def test_the_pages_fit_a_phone_in_light_and_dark(open_page, staff, queue, theme):
    operation = requeue_all(rate=60)
    page = open_page(staff, viewport=pages.NARROW, color_scheme=theme)
    for name, url in {
        "causes": "/admin/messaging/deadletter/causes/",
        "list": "/admin/messaging/deadletter/?error=131016",
        "preview": "/admin/messaging/deadletter/requeue-all/?error=131016",
        "operation": f"/admin/messaging/bulkoperation/{operation.pk}/change/",
        "operations": "/admin/messaging/bulkoperation/",
    }.items():
        page.goto(url)
        picture(page, f"narrow-{theme}-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
