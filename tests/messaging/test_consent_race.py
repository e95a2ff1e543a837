"""A STOP against a claim, on two connections: none goes out after a STOP that is committed."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from consent import ledger
from consent.models import Consent, ConsentEvent
from messaging import claims, inbox, receipts, withdrawals
from messaging.models import OutboundMessage
from messaging.states import Status
from tests.factories.consent import ContactFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory
from tests.messaging.test_concurrency import at_once
from tests.messaging.test_webhooks import payload

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def agreed(number, phone: str) -> OutboundMessage:
    contact = ContactFactory(org=number.org, phone=phone)
    at = timezone.now() - timedelta(days=1)
    entry = ledger.Entry(contact.pk, "WHATSAPP", "transactional", "api", "key:x", at)
    ledger.grant(number.org, [entry])
    return MessageFactory(phone_number=number, contact=contact)


def stop_arrives(number, phone: str) -> None:
    message = {
        "id": f"wamid.{phone}",
        "from": phone[1:],
        "timestamp": str(int(timezone.now().timestamp())),
        "type": "text",
        "text": {"body": "STOP"},
    }
    inbox.store(number.account.app, json.dumps(payload(number, messages=[message])).encode(), None)


@pytest.fixture
def number():
    return PhoneNumberFactory()


def test_a_stop_applied_while_the_claim_holds_the_rows_is_seen(number, monkeypatch):
    message = agreed(number, "+12025550100")
    stop_arrives(number, "+12025550100")
    real, applied = ledger.check, []

    def check(asks, at):
        # The claim has locked its rows; another connection applies the webhook and commits.
        applied.extend(at_once(1, lambda _place: receipts.apply_pending()))
        return real(asks, at)

    monkeypatch.setattr(claims.ledger, "check", check)
    claim = claims.claim_due(10)
    assert applied == [1]
    assert claim.messages == []
    message.refresh_from_db()
    assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")


def test_in_any_interleaving_a_claim_that_begins_after_the_commit_takes_nothing(number):
    """Free-running threads: whoever is first wins, but never a claim begun after the commit."""
    late_claims = 0
    for round_ in range(30):
        phone = f"+120255502{round_:02}"
        message = agreed(number, phone)
        stop_arrives(number, phone)
        committed = threading.Event()

        def deed(place: int, committed=committed, offset=round_ % 6) -> tuple[bool, bool]:
            if place == 0:
                receipts.apply_pending()
                committed.set()
                return True, False
            # Every sixth round surely begins afterwards, the others around the same time.
            committed.wait(10 if offset == 5 else offset * 0.002)
            late = committed.is_set()
            claim = claims.claim_due(10)
            return late, bool(claim and claim.messages)

        given = at_once(3, deed)
        for late, claimed in given[1:]:
            assert not (late and claimed)
            late_claims += late
        message.refresh_from_db()
        assert message.status in {Status.SENDING, Status.CANCELLED, Status.QUEUED}
        OutboundMessage.objects.filter(status=Status.QUEUED).delete()
    assert Consent.objects.filter(status="REVOKED", purpose="transactional").count() == 30
    assert late_claims >= 10


def test_cancelling_and_claiming_at_once_leave_every_message_in_one_place(number):
    messages = [agreed(number, f"+12025553{n:03}") for n in range(20)]
    for message in messages:
        stop_arrives(number, message.to_recipient)
    given = at_once(
        4,
        lambda place: (
            receipts.apply_pending(),
            withdrawals.cancel_withdrawn(),
            claims.claim_due(20) if place % 2 else None,
        ),
    )
    assert not [item for item in given if isinstance(item, Exception)]
    while withdrawals.cancel_withdrawn():
        pass
    assert set(OutboundMessage.objects.values_list("status", flat=True)) <= {
        Status.SENDING,
        Status.CANCELLED,
    }
    assert ConsentEvent.objects.filter(status="REVOKED").count() == 40
    connection.close()
