"""Somebody of whom every table knows something, and how to erase them."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from consent import ledger
from consent.models import ConsentImport, Contact, ImportPart, ImportProblem
from messaging import chores, receipts
from messaging.models import Discard, Erasure, OutboundMessage, PhoneNumber
from messaging.persons import erasing
from messaging.states import Status
from orgs.models import Organization
from ratelimit.models import PairUsage, PortfolioReach
from tests.factories.messaging import AttemptFactory, MessageFactory
from tests.messaging.test_webhooks import post

PHONE = "+12025550123"
DIGITS = PHONE[1:]
WRITTEN = "+1 (202) 555-0123"
BSUID = "US.13491208655302741918"
WAMID = "wamid." + base64.b64encode(f"HBgL{DIGITS}FQIA".encode()).decode()
SECRETS = [
    DIGITS,
    WRITTEN,
    BSUID,
    WAMID,
    "Dear Ana",
    "my private answer",
    "client-ref-ana",
    "192.0.2.77",
]
OTHER_PHONE = "+13035550188"


def consent(contact: Contact, purpose: str) -> None:
    entry = ledger.Entry(
        contact.pk,
        "WHATSAPP",
        purpose,
        "api",
        "key:x",
        timezone.now() - timedelta(days=9),
        {"ip": "192.0.2.77"},
    )
    ledger.grant(contact.org, [entry])


def message(number: PhoneNumber, contact: Contact, wamid: str) -> OutboundMessage:
    made = MessageFactory(
        phone_number=number,
        contact=contact,
        status=Status.SENT,
        payload={"body": "Dear Ana"},
        reference="client-ref-ana",
        metadata={"note": "client-ref-ana"},
        idempotency_key=f"client-ref-ana-{wamid}",
        provider_message_id=wamid,
        last_attempt_number=1,
        attempt_count=1,
    )
    AttemptFactory(
        message=made,
        outcome="ACCEPTED",
        charged=True,
        provider_message_id=wamid,
        excerpt="Dear Ana",
    )
    return made


def upload(org: Organization, state: str = "READY", **fields: object) -> ConsentImport:
    """A file with a row about the person, its phone written as people do, and one of another."""
    now = timezone.now()
    made = ConsentImport.objects.create(
        org=org,
        actor="user:1",
        state=state,
        columns=["phone", "purpose", "proof_ip"],
        rows=2,
        **{"created_at": now, "updated_at": now, **fields},
    )
    rows = [[2, [WRITTEN, "marketing", "192.0.2.77"]], [3, [OTHER_PHONE, "marketing", ""]]]
    ImportPart.objects.create(of=made, position=0, rows=rows)
    return made


def traces(message: OutboundMessage) -> None:
    """What else tells of somebody who was sent a message."""
    now = timezone.now()
    Discard.objects.create(
        message=message,
        org=message.org,
        error_message="Dear Ana",
        failed_at=now,
        actor="user:1",
        reason="r",
        discarded_at=now,
    )
    PairUsage.objects.create(
        number_id=message.phone_number_id, contact_id=message.contact_id, free_at=1
    )
    PortfolioReach.objects.create(portfolio_id="9", contact_id=message.contact_id, last_at=1)
    of = upload(message.org)
    ImportProblem.objects.create(of=of, line=2, column="phone", code="invalid", detail="Wrong.")


def inbound(phone: str, text: str, wamid: str) -> dict[str, Any]:
    return {
        "id": wamid,
        "from": phone[1:],
        "timestamp": str(int(timezone.now().timestamp())),
        "type": "text",
        "text": {"body": text},
    }


def arrive(client, body: dict[str, Any]) -> None:
    post(client, body)
    receipts.apply_pending()


def erase(person: Contact) -> Erasure:
    erasure = erasing.request(person, actor="user:1", reason="asked by mail")
    for _ in range(200):
        if not chores.do_some():
            break
    erasure.refresh_from_db()
    return erasure


def everything_stored() -> str:
    """Return every value of every table as one text, bytes included."""
    found: list[str] = []
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                found += [
                    bytes(value).decode("utf-8", "replace")
                    if isinstance(value, (bytes, memoryview))
                    else str(value)
                    for value in row
                ]
    return "\n".join(found)
