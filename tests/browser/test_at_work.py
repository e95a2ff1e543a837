"""Staff at work in a real browser, on an installation with worker and beat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import pages
from tests.browser.pages import picture
from tests.e2e.stack import Stack

PASSWORD = "correct-horse-battery"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page at a running installation, for all tests of this module."""
    stack.env["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    stack.manage("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org")
    with pages.watched(browser, stack.base_url) as page:
        pages.log_in_by_form(page, "ada", PASSWORD)
        yield page


def test_a_dead_letter_is_read_and_requeued(stack: Stack, page: Page):
    phone = "+12025554242"
    rule = {"recipient": phone, "behaviours": [{"error": 131009}, "ok"]}
    stack.sandbox("POST", "rules", json=rule)
    message_id = stack.queue(phone)
    stack.wait_status(message_id, "FAILED")

    page.goto(f"/admin/messaging/deadletter/?q={phone.replace('+', '%2B')}")
    page.click("#result_list tbody tr th a")
    body = page.locator("body")
    expect(body).to_contain_text("Correct the request named in the text")
    expect(body).to_contain_text("Refused by the provider")
    page.click("a:text-is('Requeue')")
    page.fill("[name=reason]", "corrected at Meta")
    page.click("button:has-text('Requeue')")
    page.wait_for_selector("text=1 message(s) requeued.")

    message = stack.wait_status(message_id, "DELIVERED")
    assert "corrected at Meta" in [line["reason"] for line in message["timeline"]]


def test_the_api_page_shows_the_calls(stack: Stack, page: Page):
    page.goto("/api/docs/")
    page.get_by_text("Send a message").wait_for()
    page.get_by_text("Take a webhook of Meta").wait_for()


def test_a_person_is_looked_at_exported_and_erased(stack: Stack, page: Page):
    phone = "+12025554299"
    message_id = stack.queue(phone)
    stack.wait_status(message_id, "DELIVERED")

    page.goto(f"/admin/consent/contact/?q={phone.replace('+', '%2B')}")
    page.click("#result_list tbody tr th a")
    page.wait_for_url("**/change/**")
    body = page.locator("body")
    expect(body).to_contain_text("4299")
    expect(body).to_contain_text("Granted")
    expect(body).to_contain_text("order_update")
    expect(body).not_to_contain_text(phone)
    picture(page, "person")
    page.click("a:has-text('Record a decision')")
    page.fill("[name=proof]", "Signed form of the fair")
    page.fill("[name=reason]", "handed in at the desk")
    picture(page, "decide")
    page.click("button:has-text('Record')")
    expect(body).to_contain_text("What holds now: granted")
    expect(body).not_to_contain_text("Signed form of the fair")
    picture(page, "decided")
    with page.expect_download() as download:
        page.click("text=Export everything")
    assert phone in download.value.path().read_text()

    page.click("a:has-text('Erase')")
    picture(page, "erase")
    page.fill("[name=reason]", "asked by letter")
    page.click("button:has-text('Erase')")
    page.wait_for_selector("text=Nothing more is sent to this person")
    for _ in range(100):
        page.goto(f"/admin/consent/contact/?q={phone.replace('+', '%2B')}")
        if not page.query_selector("#result_list tbody tr th a"):
            break
        page.wait_for_timeout(200)
    else:
        pytest.fail("The person is still found by phone.")


def test_a_consent_is_revoked_from_the_list(stack: Stack, page: Page):
    phone = "+12025554298"
    stack.wait_status(stack.queue(phone), "DELIVERED")
    page.goto(f"/admin/consent/consent/?q={phone.replace('+', '%2B')}")
    page.click("#result_list tbody input[name=_selected_action]")
    page.select_option("select[name=action]", "revoke_selected", force=True)
    page.click("button:has-text('Run')")
    page.fill("[name=reason]", "asked by phone")
    picture(page, "revoke")
    page.click("button:has-text('Revoke')")
    page.wait_for_selector("text=1 consent(s) revoked.")


def test_the_rules_of_stop_and_quiet_hours_are_set(stack: Stack, page: Page):
    page.goto("/admin/consent/consentpolicy/add/")
    page.fill("[name=stop_words]", "genug\nbasta")
    picture(page, "policy")
    expect(page.locator("body")).to_contain_text("in 12 languages")


def test_a_file_of_consents_is_tried_out_and_recorded(stack: Stack, page: Page, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text(
        "phone,purpose,proof_text\n+12025554301,marketing,Yes\n"
        "+12025554302,marketing,Yes\n12,marketing,\n"
    )
    page.goto("/admin/consent/consentimport/add/")
    page.select_option("[name=org]", index=1, force=True)
    page.set_input_files("[name=file]", file)
    picture(page, "upload")
    page.click("button:has-text('Save') >> nth=-1")
    page.wait_for_selector("text=2 granted, 1 with mistakes", timeout=30_000)
    picture(page, "preview")
    page.click("a:has-text('Record')")
    page.click("button:has-text('Record')")
    page.wait_for_selector("text=Recorded", timeout=30_000)
    picture(page, "recorded")


def test_a_test_message_is_written_seen_sent_and_followed(stack: Stack, page: Page):
    phone = "+12025554303"
    stack.manage("sync_templates")
    page.goto("/admin/test-message/")
    page.select_option("[name=number]", index=1)
    page.wait_for_selector("[name=template] option:has-text('order_update')", state="attached")
    page.select_option("[name=template]", label="order_update (en_US, utility)")
    page.fill("[name='body-1']", "Bea")
    page.fill("[name='body-2']", "#77")
    page.wait_for_selector("text=Hi Bea, your order #77 has been shipped.")
    page.fill("[name=to]", phone)
    picture(page, "test-message")
    page.click("button:has-text('Send')")
    page.wait_for_selector("text=Consent required: No consent found")
    picture(page, "test-message-refused")
    stack.consent(phone)
    page.click("button:has-text('Send')")
    page.wait_for_selector("#test-progress >> text=Read", timeout=30_000)
    picture(page, "test-message-read")
    page.click("text=Open the message")
    page.wait_for_selector("text=Timeline")
