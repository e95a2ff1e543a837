"""Nobody is shut out: axe finds no serious fault on any page, in light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib import admin
from django.test import RequestFactory
from django.urls import reverse

from messaging.states import Status
from tests.browser import pages
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, TemplateFactory

pytestmark = pytest.mark.full

SERIOUS = {"serious", "critical"}
AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


@pytest.fixture
def addresses(number, staff) -> list[str]:
    """Every page of the console, with something on it."""
    message = MessageFactory(phone_number=number)
    MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
    template = TemplateFactory(account=number.account)
    ConsentFactory(contact=message.contact)
    found = ["/admin/", "/api/docs/"]
    found += _of_tables(staff)
    found += [
        reverse("admin:messaging_outboundmessage_change", args=[message.pk]),
        reverse("admin:messaging_phonenumber_change", args=[number.pk]),
        reverse("admin:messaging_phonenumber_pause_number", args=[number.pk]),
        reverse("admin:messaging_messagetemplate_change", args=[template.pk]),
        reverse("admin:messaging_businessaccount_change", args=[number.account_id]),
        reverse("admin:consent_contact_change", args=[message.contact_id]),
        f"{reverse('console:test-message')}?number={number.pk}&template={template.pk}",
    ]
    return found


def _of_tables(user) -> list[str]:
    """Return the list and the form for a new row of each table that has one."""
    request = RequestFactory().get("/")
    request.user = user
    found = []
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        if model_admin.has_add_permission(request):
            found.append(reverse(f"{name}_add"))
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("theme", pages.THEMES)
def test_no_page_has_a_serious_fault(open_page, staff, addresses, theme):
    page = open_page(staff, color_scheme=theme)
    faults: dict[str, set[str]] = {}
    for address in addresses:
        page.goto(address)
        page.wait_for_load_state("load")
        for violation in Axe().run(page, options=AXE).response["violations"]:
            if violation["impact"] not in SERIOUS:
                continue
            for node in violation["nodes"]:
                what = f"{violation['id']}: {node['html'][:160]}"
                faults.setdefault(what, set()).add(address)
    assert [f"{what} on {sorted(where)[:3]}" for what, where in sorted(faults.items())] == []
