"""Everything we hold about a person, as one JSON document, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from django.db.models import Model

from consent.models import Consent, ConsentEvent, Contact
from messaging import channels
from messaging.models import (
    InboundMessage,
    MessageEvent,
    OutboundAttempt,
    OutboundMessage,
    ServiceWindow,
    WebhookDelivery,
)
from messaging.persons import deliveries
from messaging.providers.whatsapp import persons
from orgs import audit

# Messages in memory at once.
BATCH = 200


def export(contact: Contact, *, actor: str) -> Iterator[bytes]:
    """Record the export in the audit trail; return the document, in pieces of bounded size."""
    target = f"contact:{contact.pk}"
    audit.record([audit.Entry(contact.org_id, actor, "contact.exported", target)])
    return _document(contact)


def _document(contact: Contact) -> Iterator[bytes]:
    yield b'{"person":' + _json(_plain(contact))
    yield from _list("consents", _consents(contact))
    windows = ServiceWindow.objects.filter(contact=contact).order_by("pk")
    yield from _list("windows", (_plain(row) for row in windows.iterator()))
    yield from _list("messages", _messages(contact))
    written = InboundMessage.objects.filter(contact=contact).order_by("pk")
    yield from _list("written", (_plain(row) for row in written.iterator(chunk_size=BATCH)))
    yield from _list("received", _received(contact))
    yield b"}\n"


def _consents(contact: Contact) -> Iterator[dict[str, Any]]:
    for row in Consent.objects.filter(contact=contact).order_by("pk"):
        history = ConsentEvent.objects.filter(consent=row).order_by("pk")
        yield {**_plain(row), "history": [_plain(event) for event in history.iterator()]}


def _messages(contact: Contact) -> Iterator[dict[str, Any]]:
    rows = OutboundMessage.objects.filter(contact=contact).order_by("pk")
    for row in rows.iterator(chunk_size=BATCH):
        attempts = OutboundAttempt.objects.filter(message=row).order_by("attempt_number")
        timeline = MessageEvent.objects.filter(message=row).order_by("pk")
        yield {
            **_plain(row),
            "attempts": [_plain(attempt) for attempt in attempts],
            "timeline": [_plain(event) for event in timeline],
        }


def _received(contact: Contact) -> Iterator[dict[str, Any]]:
    """Yield what Meta told us about them, event by event, of this organisation only."""
    names = persons.needles(contact.phone, contact.bsuid)
    searched = 0
    while found := deliveries.search(contact.pk, names, searched):
        searched = found.up_to
        for pk in found.deliveries:
            delivery = WebhookDelivery.objects.get(pk=pk)
            own = deliveries.of_own(contact.org_id, pk)
            places = found.positions.get(pk, frozenset())
            for position, raw in persons.about(
                bytes(delivery.body), names, places, channels.error_table()
            ):
                if position in own:
                    yield {"received_at": delivery.received_at, "event": raw}


def _list(name: str, items: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b',"' + name.encode() + b'":['
    for place, item in enumerate(items):
        yield (b"," if place else b"") + _json(item)
    yield b"]"


def _plain(row: Model) -> dict[str, Any]:
    """Return every column of a row by its name."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=str)
