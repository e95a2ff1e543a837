"""Log-ins and rights as a browser sees them; a page that breaks the policy fails its test."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.urls import reverse
from django_otp.oath import TOTP
from playwright.sync_api import expect

from orgs.models import SecondFactor
from tests.browser import pages
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import DeliveryFactory, MessageFactory, TemplateFactory
from tests.factories.orgs import staff_user


def test_too_many_wrong_passwords_shut_the_door(browser, web_url, staff, settings):
    # The answer is a 429, which a browser calls an error: this page is not watched.
    page = browser.new_context(base_url=web_url).new_page()
    page.goto("/admin/")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", "wrong")
        with page.expect_navigation():
            page.press("[name=password]", "Enter")
    expect(page.locator("body")).to_contain_text("Too many wrong passwords")
    pages.picture(page, "shut-out")
    page.context.close()


def test_the_second_factor_is_set_up_and_asked_for(open_page, staff, settings):
    settings.OUTBOUND_TOTP = "required"
    page = open_page(staff)
    page.goto("/admin/")
    assert page.locator("svg.segno").is_visible()
    secret = page.inner_text("code")
    pages.picture(page, "second-factor-set-up")
    factor = SecondFactor.objects.get()
    assert secret
    totp = TOTP(bytes.fromhex(factor.secret))
    page.fill("[name=code]", f"{totp.token():06}")
    page.press("[name=code]", "Enter")
    page.wait_for_selector("text=Keep these codes")
    pages.picture(page, "second-factor-codes")
    page.wait_for_load_state()
    recovery = re.findall(r"\b[0-9a-f]{10}\b", page.inner_text("ul.font-mono"))
    again = open_page(staff, viewport=pages.NARROW, color_scheme="dark")
    again.goto("/admin/messaging/outboundmessage/")
    again.wait_for_selector("[name=code]")
    pages.picture(again, "second-factor-phone")
    again.fill("[name=code]", recovery[0])
    again.press("[name=code]", "Enter")
    again.wait_for_url("**/admin/messaging/outboundmessage/")


def test_a_key_is_shown_once_with_a_button_to_copy_it(page, org):
    page.goto(reverse("admin:orgs_apikey_add"))
    page.select_option("[name=org]", str(org.pk))
    page.fill("[name=name]", "shop")
    page.click("[name=_save]")
    page.wait_for_selector("#id_secret")
    expect(page.locator("#id_secret")).to_have_value(re.compile("^ob_"))
    page.click("text=Copy >> nth=-1")
    page.wait_for_selector("text=Copied")
    pages.picture(page, "key-issued")


def test_a_number_is_shown_after_one_more_click(page, number):
    message = MessageFactory(phone_number=number, contact__phone="+12025550123")
    page.goto(reverse("admin:consent_contact_change", args=[message.contact.pk]))
    assert "+12025550123" not in page.content()
    page.click("text=Show phone and BSUID")
    page.fill("[name=reason]", "calls back")
    pages.picture(page, "reveal")
    page.click("button:has-text('Show') >> nth=-1")
    page.wait_for_selector("text=+12025550123")


@pytest.fixture
def some_rows(number) -> None:
    message = MessageFactory(phone_number=number)
    ConsentFactory(contact=message.contact, org=number.org)
    TemplateFactory(account=number.account, org=number.org)
    DeliveryFactory(app=number.account.app, events=[number.org.pk])


def test_no_page_breaks_the_policy(page, some_rows):
    """Every list, every form to add, and one row of each; a breach is a console error."""
    for model in admin.site._registry:
        stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        page.goto(reverse(f"{stem}_changelist"))
        row = model._default_manager.first()
        if row is not None:
            page.goto(reverse(f"{stem}_change", args=[row.pk]))
    page.goto("/admin/password_change/")
    page.goto("/api/docs/")
    page.wait_for_selector(".swagger-ui .opblock")


def test_the_pages_of_rights_look_well(open_page, staff, org, some_rows):
    clerk = staff_user("view_outboundmessage", orgs=(org,))
    for suffix, options in (
        ("", {}),
        ("-dark", {"color_scheme": "dark"}),
        ("-phone", {"viewport": pages.NARROW}),
    ):
        page = open_page(staff, **options)
        page.goto(reverse("admin:auth_user_change", args=[clerk.pk]))
        pages.picture(page, f"user{suffix}")
        page.goto(reverse("admin:orgs_auditevent_changelist"))
        pages.picture(page, f"trail{suffix}")
