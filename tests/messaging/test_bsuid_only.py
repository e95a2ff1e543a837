"""People who hide their phone: Meta names them by their business-scoped id alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import ledger
from consent.models import Consent, ConsentEvent, Contact
from messaging import claims, receipts
from messaging.models import InboundMessage, ServiceWindow
from messaging.states import Status
from tests.factories.consent import ContactFactory
from tests.factories.messaging import MessageFactory
from tests.messaging.test_webhooks import payload, post, results

pytestmark = [pytest.mark.django_db, pytest.mark.core]

BSUID, NEW_BSUID = "US.90000000000000000001", "US.90000000000000000002"


@pytest.fixture
def person(org) -> Contact:
    contact = ContactFactory(org=org, phone=None, bsuid=BSUID)
    for purpose in ("marketing", "transactional"):
        at = timezone.now() - timedelta(days=1)
        ledger.grant(org, [ledger.Entry(contact.pk, "WHATSAPP", purpose, "api", "key:x", at)])
    return contact


def told(kind: str, wamid: str = "wamid.in", **content: Any) -> dict[str, Any]:
    at = str(int(timezone.now().timestamp()))
    return {"id": wamid, "from_user_id": BSUID, "timestamp": at, "type": kind, **content}


def arrive(client, number, *messages: dict[str, Any]) -> None:
    post(client, payload(number, messages=list(messages)))
    receipts.apply_pending()


def answers(bsuid: str) -> set[str]:
    return set(Consent.objects.filter(contact__bsuid=bsuid).values_list("status", flat=True))


def test_who_writes_for_the_first_time_is_known_by_the_id(client, number):
    arrive(client, number, told("text", text={"body": "Hello"}))
    contact = Contact.objects.get()
    assert (contact.phone, contact.bsuid) == (None, BSUID)
    assert InboundMessage.objects.get().contact == contact
    assert ServiceWindow.objects.get().contact == contact
    assert results() == ["APPLIED"]


def test_a_stop_is_in_force_with_the_next_claim(client, number, person):
    message = MessageFactory(phone_number=number, contact=person, to_recipient=BSUID)
    stop = told("text", text={"body": "Stop"})
    arrive(client, number, stop)
    assert answers(BSUID) == {"REVOKED"}
    claims.claim_due(10)
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")
    arrive(client, number, stop)
    assert ConsentEvent.objects.filter(status="REVOKED", source="person").count() == 2


@pytest.mark.parametrize("word", ["", "STOP"])
def test_a_new_id_takes_the_decisions_along(client, number, person, word):
    if word:
        arrive(client, number, told("text", "wamid.stop", text={"body": word}))
    system = {"type": "user_changed_user_id", "body": "changed", "user_id": NEW_BSUID}
    arrive(client, number, told("system", "wamid.system", system=system))
    assert answers(NEW_BSUID) == {"REVOKED" if word else "GRANTED"}
    assert answers(BSUID) == {"REVOKED"}
