"""The door of the console, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

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
