"""Whose an event is that names no phone number: the account's."""

from __future__ import annotations

from typing import Any

import pytest

from consent.models import Consent
from messaging import receipts
from messaging.models import WebhookEvent
from messaging.states import Status
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MetaAppFactory, PhoneNumberFactory
from tests.messaging.test_opt_outs import PHONE, preference
from tests.messaging.test_webhooks import payload, post, results, sent, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

Result = WebhookEvent.Result


@pytest.fixture
def consent(org) -> Consent:
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE), purpose="marketing")


def without_number(body: dict[str, Any]) -> dict[str, Any]:
    for entry in body["entry"]:
        for change in entry["changes"]:
            del change["value"]["metadata"]
    return body


def arrive(client, body: dict[str, Any], **headers: str) -> None:
    post(client, without_number(body), **headers)
    receipts.apply_pending()


@pytest.mark.parametrize("others", [0, 1])
def test_a_preference_that_names_no_number_is_heard(client, number, consent, others):
    for _ in range(others):
        PhoneNumberFactory(org=number.org, account=number.account)
    arrive(client, preference(number, "stop"))
    consent.refresh_from_db()
    assert (consent.status, results()) == ("REVOKED", [Result.APPLIED])
    assert WebhookEvent.objects.get().org == number.org


def test_only_the_accounts_own_app_may_tell_it(client, number, consent):
    MetaAppFactory(app_secret="of another app")
    arrive(client, preference(number, "stop"), secret="of another app")
    consent.refresh_from_db()
    assert (consent.status, results()) == ("GRANTED", [Result.FOREIGN])
    assert WebhookEvent.objects.get().org is None


def test_an_organization_header_holds_for_the_account_too(client, number, consent, other_org):
    arrive(client, preference(number, "stop"), **{"X-Org-Id": other_org.org_id})
    consent.refresh_from_db()
    assert (consent.status, results()) == ("GRANTED", [Result.FOREIGN])


def test_the_only_number_of_an_account_is_meant(client, number):
    message = sent(number)
    arrive(client, payload(number, statuses=[status("delivered")]))
    message.refresh_from_db()
    assert (message.status, results()) == (Status.DELIVERED, [Result.APPLIED])


def test_of_several_numbers_none_is_meant_and_the_event_is_kept(client, number):
    PhoneNumberFactory(org=number.org, account=number.account)
    message = sent(number)
    arrive(client, payload(number, statuses=[status("delivered")]))
    message.refresh_from_db()
    event = WebhookEvent.objects.get()
    assert (message.status, event.result, event.org) == (Status.SENT, Result.KEPT, number.org)
    assert event.error == "It names no phone number."


def test_an_unknown_field_is_kept_for_the_accounts_organization(client, number):
    change = {"field": "brand_new", "value": {"x": 1}}
    post(client, {"entry": [{"id": number.account.waba_id, "changes": [change]}]})
    receipts.apply_pending()
    event = WebhookEvent.objects.get()
    assert (event.result, event.org) == (Result.KEPT, number.org)
