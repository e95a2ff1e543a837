"""An erasure against decisions, on two connections: whoever is first, nothing stays behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent import contacts, ledger, taking
from consent.contacts import Recipient
from consent.models import Consent, ConsentEvent, Contact
from messaging.persons import erasing
from tests.factories.consent import ContactFactory
from tests.factories.messaging import PhoneNumberFactory
from tests.messaging.test_concurrency import at_once

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

PHONE = "+12025550123"


@pytest.fixture
def person() -> Contact:
    """Somebody who has agreed to one of the purposes."""
    contact = ContactFactory(org=PhoneNumberFactory().org, phone=PHONE)
    ledger.grant(contact.org, [entry(contact, "marketing")])
    return contact


def entry(contact: Contact, purpose: str) -> ledger.Entry:
    at = timezone.now() - timedelta(days=1)
    return ledger.Entry(contact.pk, "WHATSAPP", purpose, "api", "key:x", at, {"ip": "192.0.2.1"})


@pytest.mark.parametrize("purpose", ["marketing", "transactional"])
def test_erased_after_being_found_nothing_is_recorded(person, monkeypatch, purpose):
    hold = ledger._hold_people

    def erased_first(*args):
        at_once(1, lambda _place: erasing.request(person, actor="user:1", reason="r"))
        return hold(*args)

    monkeypatch.setattr(ledger, "_hold_people", erased_first)
    with pytest.raises(ledger.GoneMeanwhileError):
        ledger.deny(person.org, [entry(person, purpose)])
    assert not Consent.objects.filter(contact=person).exists()


def test_in_any_interleaving_nothing_of_the_erased_is_left(person):
    org = person.org
    for round_ in range(25):
        phone = f"+120255502{round_:02}"
        known = ContactFactory(org=org, phone=phone)
        ledger.grant(org, [entry(known, "marketing")])

        def deed(place: int, known=known, phone=phone) -> object:
            if place == 0:
                return erasing.request(known, actor="user:1", reason="r")
            item = {
                "phone": phone,
                "channel": "WHATSAPP",
                "purpose": "transactional" if place % 2 else "marketing",
                "status": "DENIED",
                "source": "api",
                "proof": {"ip": "192.0.2.1"},
                "expires_at": None,
            }
            try:
                return taking.take(org, [item], actor="key:x")
            except ledger.GoneMeanwhileError:
                return None

        given = at_once(3, deed)
        assert not [item for item in given if isinstance(item, Exception)]
        assert not Consent.objects.filter(contact=known).exists()
        assert not ConsentEvent.objects.filter(consent__contact=known).exists()
        known.refresh_from_db()
        assert known.phone is None
        found = contacts.find(org, [Recipient(phone, None)])
        assert all(contact.pk != known.pk for contact in found.values())
