"""Numbers in the browser: connected, paused and resumed, and the page that says how they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from messaging.models import PhoneNumber
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold
from tests.browser import pages
from tests.factories.messaging import MessageFactory


def test_a_number_is_connected_after_a_wrong_token_was_told(page, org, sandbox, settings):
    settings.WHATSAPP_CLOUD_API_BASE_URL = sandbox.url
    page.goto("/admin/messaging/phonenumber/")
    page.click("a[href*='/phonenumber/add/'] >> visible=true")
    page.select_option("[name=org]", label=str(org))
    for name in ("phone_number_id", "waba_id", "app_id"):
        page.fill(f"[name={name}]", {"waba_id": "100000000000001"}.get(name, "200000000000001"))
    page.fill("[name=access_token]", "expired-token")
    page.fill("[name=app_secret]", "sandbox-secret")
    page.fill("[name=verify_token]", "verify-me")
    pages.picture(page, "connect")
    page.click("button:has-text('Connect')")
    page.wait_for_selector("text=the access token is wrong, expired or withdrawn")
    pages.picture(page, "connect-refused")
    expect(page.locator("[name=access_token]")).to_have_value("")
    expect(page.locator("[name=waba_id]")).to_have_value("100000000000001")
    assert not PhoneNumber.objects.exists()

    page.fill("[name=access_token]", "good-token")
    page.fill("[name=app_secret]", "sandbox-secret")
    page.fill("[name=verify_token]", "verify-me")
    page.click("button:has-text('Connect')")
    page.wait_for_selector("text=Meta has taken the token")
    expect(page.locator("body")).to_contain_text("None has come lately")
    pages.picture(page, "connected")
    page.click("text=Ask Meta for its health")
    page.wait_for_selector("text=Meta says that the number may send.")


def test_a_number_is_paused_and_resumed(page, number):
    MessageFactory(phone_number=number)
    page.goto(f"/admin/messaging/phonenumber/{number.pk}/change/")
    page.wait_for_selector("section >> text=Sending")
    page.click("a[href$='/pause/']")
    page.fill("[name=reason]", "the shop is closed")
    pages.picture(page, "pause")
    page.click("button:has-text('Pause')")
    page.wait_for_selector("text=is paused: its messages wait.")
    expect(page.locator("body")).to_contain_text("Paused by staff")
    pages.picture(page, "paused")
    page.click("a[href$='/resume/']")
    page.fill("[name=reason]", "open again")
    page.click("button:has-text('Resume')")
    page.wait_for_selector("text=is resumed.")
    assert not Hold.objects.exists()


@pytest.mark.parametrize("theme", pages.THEMES)
def test_the_page_of_a_number_in_trouble_fits_a_phone(open_page, staff, number, theme):
    at = timezone.now()
    holds.place(
        [
            HoldRequest(
                *("app", number.account.app.app_id, Hold.Cause.PROVIDER_UNAVAILABLE, None),
                detail="Calls for several messages failed in a row; one at a time tries again.",
                probe_at=at + timedelta(seconds=20),
            ),
            HoldRequest("number", number.phone_number_id, Hold.Cause.THROTTLE, at + timedelta(1)),
        ],
        at,
    )
    page = open_page(staff, color_scheme=theme, viewport=pages.NARROW)
    page.goto(f"/admin/messaging/phonenumber/{number.pk}/change/")
    expect(page.locator("#content-main")).to_contain_text("Circuit open")
    expect(page.locator("#content-main")).to_contain_text("Rate limit at Meta")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    pages.picture(page, f"number-trouble-{theme}")
