"""Somebody of whom every table knows something."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent.models import Contact
from messaging.persons import erasing
from tests.factories.consent import ContactFactory
from tests.messaging.persons.cast import (
    BSUID,
    DIGITS,
    OTHER_PHONE,
    PHONE,
    WAMID,
    arrive,
    consent,
    inbound,
    message,
    traces,
)
from tests.messaging.test_webhooks import payload


@pytest.fixture
def person(client, number) -> Contact:
    """Somebody of whom every table knows something."""
    contact = ContactFactory(org=number.org, phone=PHONE, bsuid=BSUID)
    consent(contact, "marketing")
    consent(contact, "transactional")
    traces(message(number, contact, WAMID))
    arrive(
        client,
        payload(
            number,
            contacts=[
                {"profile": {"name": "Ana"}, "wa_id": DIGITS, "user_id": BSUID},
                {"profile": {"name": "Bo"}, "wa_id": OTHER_PHONE[1:]},
            ],
            messages=[
                inbound(PHONE, "my private answer", "wamid.in1"),
                inbound(OTHER_PHONE, "somebody else", "wamid.in2"),
            ],
            statuses=[
                {
                    "id": WAMID,
                    "status": "delivered",
                    "timestamp": str(int(timezone.now().timestamp())),
                    "recipient_id": DIGITS,
                },
                {"id": "wamid.unknown", "status": "read", "timestamp": "1794700000"},
            ],
        ),
    )
    return contact


@pytest.fixture(autouse=True)
def _nothing_under_way(monkeypatch) -> None:
    """No other transaction may still write what was known before."""
    monkeypatch.setattr(erasing, "SETTLE", timedelta(0))
