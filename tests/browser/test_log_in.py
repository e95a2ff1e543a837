"""The door of the console, in light and dark, on a desk and on a phone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from messaging.models import BulkOperation
from tests.browser import pages


@pytest.mark.parametrize("theme", pages.THEMES)
def test_staff_log_in_and_out(open_page, staff, theme):
    page = open_page(color_scheme=theme, viewport=pages.NARROW)
    pages.log_in_by_form(page, "ada", "correct-horse")
    expect(page.locator("html.dark")).to_have_count(int(theme == "dark"))
    page.context.clear_cookies()
    page.goto("/admin/")
    page.wait_for_selector("[name=password]")


def test_a_wrong_password_is_told_and_opens_nothing(open_page, staff):
    page = open_page()
    page.goto("/admin/")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")
    page.wait_for_selector("text=Please enter the correct username and password")
    assert "Dead letter queue" not in page.inner_text("body")


def test_the_page_of_a_fixture_is_logged_in(page, number):
    page.goto("/admin/messaging/phonenumber/")
    expect(page.locator("#result_list")).to_contain_text(number.phone_number_id)


def test_a_page_that_polls_leads_to_the_log_in_and_back_when_the_session_ends(
    browser, web_url, staff
):
    now = timezone.now()
    operation = BulkOperation.objects.create(
        kind="requeue",
        actor="user:1",
        cause="staff",
        reason="r",
        matched=3,
        next_at=now + timedelta(days=1),
        created_at=now,
        updated_at=now,
    )
    path = pages.address("messaging_bulkoperation_change", operation.pk)
    # Not watched: the browser tells of the refusal, as it should.
    with browser.new_context(base_url=web_url) as opened:
        page = opened.new_page()
        pages.log_in(page, web_url, staff)
        page.goto(path)
        expect(page.locator("#progress")).to_contain_text("0 of 3")
        Session.objects.all().delete()
        page.wait_for_selector("[name=password]", timeout=pages.PATIENCE_MS)
        expect(page.locator("#progress")).to_have_count(0)
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", "correct-horse")
        page.press("[name=password]", "Enter")
        expect(page.locator("#progress")).to_contain_text("0 of 3")
        assert page.url == f"{web_url}{path}"
