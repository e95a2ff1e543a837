"""The first things a support person does: look at the dashboard, find a message, put it right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from messaging.models import OutboundMessage
from messaging.states import Cause, Status
from messaging.transitions import Change, apply, lock
from tests.browser.pages import NARROW, picture
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import AttemptFactory, MessageFactory, TemplateFactory

PHONE = "+12025550123"


@pytest.fixture
def failed(number) -> OutboundMessage:
    TemplateFactory(account=number.account)
    message = MessageFactory(
        phone_number=number,
        contact__phone=PHONE,
        status=Status.SENDING,
        at=timezone.now() - timedelta(minutes=2),
    )
    ConsentFactory(contact=message.contact)
    AttemptFactory(
        message=message, outcome="REJECTED", error_code="131026", duration_ms=312, http_status=400
    )
    now = timezone.now()
    change = Change(message.pk, Cause.RESULT, now, Status.FAILED, kind="rejected", code="131026")
    with transaction.atomic():
        apply(lock([message.pk]), [change], now=now)
    MessageFactory.create_batch(3, phone_number=number, status=Status.DELIVERED)
    return message


def test_from_the_dashboard_to_a_requeued_message(failed, page: Page):
    page.goto("/admin/")
    expect(page.locator("#card-dead")).to_contain_text("1")
    picture(page, "dashboard-test")
    page.click("#card-dead")
    expect(page.locator("#result_list tbody tr th a")).to_have_count(1)

    page.goto("/admin/messaging/outboundmessage/")
    page.fill("#searchbar", PHONE)
    page.press("#searchbar", "Enter")
    page.wait_for_url("**q=*")
    rows = page.locator("#result_list tbody tr th a")
    expect(rows).to_have_count(1)
    rows.click()
    body = page.locator("body")
    expect(body).to_contain_text("Attempt 1: rejected, 312 ms")
    expect(body).to_contain_text("Refused by the provider")
    expect(body).to_contain_text("They may have no WhatsApp")
    expect(body).not_to_contain_text(PHONE)
    page.click("summary:text-is('Request')")
    expect(page.locator("pre")).to_contain_text("order_update")
    page.click("a:text-is('Would it go?')")
    expect(page.locator("#explain")).to_contain_text("Consent for transactional")
    picture(page, "message-test")

    page.click("a:text-is('Requeue')")
    page.fill("[name=reason]", "the person has WhatsApp now")
    page.click("button:has-text('Requeue')")
    expect(body).to_contain_text("1 message(s) requeued.")
    expect(body).to_contain_text("Requeued by staff")
    failed.refresh_from_db()
    assert failed.status == Status.QUEUED


def test_the_dashboard_follows_and_says_when_it_cannot(failed, open_page, staff):
    page = open_page(staff, viewport=NARROW, color_scheme="dark")
    page.goto("/admin/")
    expect(page.locator("#card-queued")).to_contain_text("0")
    MessageFactory(phone_number=failed.phone_number)
    look_again = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(look_again)
    expect(page.locator("#card-queued")).to_contain_text("1")
    expect(page.locator("#console-stale")).to_be_hidden()

    page.evaluate("window.fetch = () => Promise.reject(new Error('away'))")
    page.evaluate(look_again)
    expect(page.locator("#console-stale")).to_contain_text("The server does not answer")
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0
