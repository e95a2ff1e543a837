"""A test message goes the way of every other, or is refused as every other."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from messaging.models import BusinessAccount, OutboundMessage, PhoneNumber
from messaging.states import Status
from orgs.models import AuditEvent
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import PhoneNumberFactory, TemplateFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

WRITE = reverse("console:test-message")
PHONE = "+12025550123"


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def template(number):
    BusinessAccount.objects.update(templates_synced_at=timezone.now())
    return TemplateFactory(account=number.account)


def filled(number, template, **changes) -> dict:
    return {
        "number": number.pk,
        "template": template.pk,
        "token": "once",
        "to": PHONE,
        "body-1": "Ana",
        "body-2": "#1042",
        **changes,
    }


def test_the_form_asks_for_what_the_template_needs(client, staff, number, template):
    page = client.get(WRITE, {"number": number.pk, "template": template.pk}).content.decode()
    assert 'name="body-1"' in page
    assert 'name="body-2"' in page
    assert "Hi {{1}}, order {{2}} has been shipped." in page


def test_the_preview_shows_what_is_typed(client, staff, number, template):
    typed = filled(number, template, **{"body-2": ""})
    page = client.post(reverse("console:test-preview"), typed).content.decode()
    assert "Hi Ana, order {{2}} has been shipped." in page


def test_without_consent_it_is_refused_as_by_the_api(client, staff, number, template):
    page = client.post(WRITE, filled(number, template)).content.decode()
    assert "Consent required: No consent found for channel WHATSAPP" in page
    assert not OutboundMessage.objects.exists()
    assert not AuditEvent.objects.exclude(action="login.succeeded").exists()


def test_it_is_queued_once_sent_audited_and_followed(client, staff, number, template, provider):
    ConsentFactory(contact__org=number.org, contact__phone=PHONE)
    answer = client.post(WRITE, filled(number, template))
    client.post(WRITE, filled(number, template))
    message = OutboundMessage.objects.get()
    assert (message.priority, message.category) == (OutboundMessage.Priority.HIGH, "utility")
    audit = AuditEvent.objects.get(action="message.test_sent")
    assert (audit.actor, audit.target) == (f"user:{staff.pk}", f"message:{message.pk}")
    assert PHONE not in str(audit.after)
    assert answer.headers["Location"] == reverse("console:test-sent", args=[message.pk])
    progress = reverse("console:test-now", args=[message.pk])
    assert "Queued" in client.get(progress).content.decode()
    send_due()
    page = client.get(progress).content.decode()
    assert "Sent" in page
    assert "hx-get" in page
    assert PHONE not in page


def test_what_has_ended_is_not_asked_again(client, staff, number, template):
    ConsentFactory(contact__org=number.org, contact__phone=PHONE)
    client.post(WRITE, filled(number, template))
    message = OutboundMessage.objects.get()
    cancelled = reverse("admin:messaging_outboundmessage_cancel_one", args=[message.pk])
    client.post(cancelled, {"confirmed": "yes", "reason": "r"})
    message.refresh_from_db()
    assert message.status == Status.CANCELLED
    progress = client.get(reverse("console:test-now", args=[message.pk])).content.decode()
    assert "hx-get" not in progress


def test_a_template_of_another_account_is_no_choice(client, staff, number, template, other_org):
    stranger = PhoneNumberFactory(org=other_org)
    page = client.post(WRITE, filled(stranger, template)).content.decode()
    assert "Select a valid choice" in page
    assert not OutboundMessage.objects.exists()


def test_an_inactive_number_sends_no_test(client, staff, number, template):
    PhoneNumber.objects.update(is_active=False)
    client.post(WRITE, filled(number, template))
    assert not OutboundMessage.objects.exists()


def test_whoever_may_not_send_does_not_get_in(client, number):
    ben = User.objects.create_user("ben", password="x", is_staff=True)
    client.force_login(ben)
    for name in ("test-message", "test-preview"):
        assert client.post(reverse(f"console:{name}")).status_code == 403


def test_whoever_is_limited_to_another_organisation_reaches_nothing_of_this_one(
    client, staff, number, template, other_org
):
    ConsentFactory(contact__org=number.org, contact__phone=PHONE)
    client.post(WRITE, filled(number, template))
    sent = reverse("console:test-sent", args=[OutboundMessage.objects.get().pk])
    assert client.get(sent).status_code == 200
    client.force_login(staff_user("add_outboundmessage", orgs=(other_org,)))
    assert number.phone_number_id not in client.get(WRITE).content.decode()
    client.post(WRITE, filled(number, template, token="twice"))
    assert OutboundMessage.objects.count() == 1
    assert client.get(sent).status_code == 404
