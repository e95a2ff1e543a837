"""Meta caps utility messages: they wait for its end, whatever else the account sends goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from messaging.models import OutboundMessage
from messaging.providers.base import Outcome
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.states import Status
from ratelimit.models import Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory
from tests.fakes import accepted
from tests.messaging.test_notices import load, number, tell

pytestmark = [pytest.mark.django_db, pytest.mark.core]

__all__ = ["number"]  # the fixture

TOLD_AT = timezone.now().replace(microsecond=0) - timedelta(minutes=5)
ENDS_AT = TOLD_AT + timedelta(days=7)


def capped() -> dict[str, Any]:
    told = load("account_update_utility_rate_limited")
    told["entry"][0]["time"] = int(TOLD_AT.timestamp())
    (restriction,) = told["entry"][0]["changes"][0]["value"]["restriction_info"]
    restriction["expiration"] = str(int(ENDS_AT.timestamp()))
    return told


def lifted() -> dict[str, Any]:
    told = load("account_update_utility_rate_limit_recovered")
    told["entry"][0]["time"] = int(TOLD_AT.timestamp()) + 60
    return told


def queue(number, template: str) -> OutboundMessage:
    message = MessageFactory(phone_number=number, template_name=template, template_language="en_US")
    ConsentFactory(contact=message.contact)
    return message


def refuse(provider, number) -> None:
    """Have a message of the template "receipt" refused for the cap."""
    rule = DEFAULT_TABLE.lookup("131064")
    provider.answer(Outcome.THROTTLED, error_code="131064", rule=rule)
    queue(number, "receipt")
    send_due()
    provider.script = accepted


def test_the_refused_template_waits_to_the_end_that_meta_told(client, provider, number):
    tell(client, capped())
    assert not Hold.objects.exists()  # a cap lets some through
    refuse(provider, number)
    hold = Hold.objects.get()
    assert hold.key == f"{number.account.waba_id}/receipt/en_US"
    assert (hold.scope, hold.cause, hold.until) == ("template", "throttle", ENDS_AT)


def test_what_was_refused_before_it_was_told_waits_as_long(client, provider, number):
    refuse(provider, number)
    assert Hold.objects.get().until < ENDS_AT
    tell(client, capped())
    assert Hold.objects.get().until == ENDS_AT


def test_marketing_of_the_same_account_goes_on(provider, number):
    refuse(provider, number)
    marketing = queue(number, "spring_sale")
    held = queue(number, "receipt")
    send_due()
    marketing.refresh_from_db()
    held.refresh_from_db()
    assert (marketing.status, held.status) == (Status.SENT, Status.QUEUED)


def test_its_recovery_lets_them_go(client, provider, number):
    tell(client, capped())
    refuse(provider, number)
    tell(client, lifted())
    assert not Hold.objects.exists()
    assert OutboundMessage.objects.get().status == Status.QUEUED
    assert send_due() == 1
    number.account.refresh_from_db()
    assert number.account.utility_capped_until is None


def test_a_cap_told_after_its_recovery_is_over(client, provider, number):
    tell(client, lifted())
    tell(client, capped())
    refuse(provider, number)
    assert Hold.objects.get().until < ENDS_AT
