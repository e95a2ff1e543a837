"""Erasing a person: phone, ids and contents gone from every table; a STOP stays effective."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from consent import remembered
from consent.models import Consent, Contact
from messaging import channels, transitions
from messaging.models import (
    Erasure,
    OutboundAttempt,
    OutboundMessage,
    ServiceWindow,
    WebhookDelivery,
)
from messaging.persons import deliveries
from messaging.providers.whatsapp import persons
from messaging.states import Cause, Status
from messaging.transitions import Change
from orgs import audit, database
from orgs.append_only import deletion_allowed

ERASED = "ERASED"
# Messages emptied in one transaction.
BATCH = 500
# Erasures looked at for one that can go on.
OPEN = 20


def request(contact: Contact, *, actor: str, reason: str) -> Erasure:
    """Begin to erase a person; from here on nothing is sent to them. Once per person.

    Their consents go at once, and with them every permission to write; a STOP is kept under a
    keyed hash. The rest follows in the background, in batches.
    """
    with deletion_allowed():
        locked = Contact.objects.select_for_update().get(pk=contact.pk)
        erasure, new = Erasure.objects.get_or_create(
            contact=locked,
            defaults={
                "org_id": locked.org_id,
                "actor": actor[:64],
                "reason": reason[:500],
                "requested_at": database.now(),
            },
        )
        if new:
            remembered.keep(locked)
            Consent.objects.filter(contact=locked).delete()
            _audit(erasure, "contact.erasure_requested")
    return erasure


def proceed() -> int:
    """Take an open erasure one batch further; return 0 when there is none to go on with.

    The oldest that can go on: one may wait for the answer to a call in flight.
    """
    with transaction.atomic():
        waiting = (
            Erasure.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(finished_at=None)
            .select_related("contact")
            .order_by("pk")[:OPEN]
        )
        for erasure in waiting:
            done = _search_deliveries(erasure) or _empty_messages(erasure) or _finish(erasure)
            if done:
                return done
    return 0


def _search_deliveries(erasure: Erasure) -> int:
    """Empty one range of deliveries of the person; return 0 when all have been searched."""
    person = erasure.contact
    names = persons.needles(person.phone, person.bsuid)
    found = deliveries.search(person.pk, names, erasure.searched_up_to)
    if found is None:
        return 0
    for delivery in found.deliveries:
        places = found.positions.get(delivery.pk, frozenset())
        cleaned = persons.without(
            bytes(delivery.body),
            names,
            places,
            deliveries.of_others(erasure.org_id, delivery.pk),
            channels.error_table(),
        )
        WebhookDelivery.objects.filter(pk=delivery.pk).update(body=cleaned.body)
        deliveries.forget_ids(delivery.pk, cleaned.positions | places)
    erasure.searched_up_to = found.up_to
    erasure.deliveries += len(found.deliveries)
    erasure.save(update_fields=["searched_up_to", "deliveries"])
    return 1


def _empty_messages(erasure: Erasure) -> int:
    """Withdraw and empty one batch of messages; those a worker holds wait for their answer."""
    now = database.now()
    rows = transitions.lock(deliveries.message_ids(erasure.contact_id, BATCH))
    ready = [pk for pk, row in rows.items() if row.status != Status.SENDING]
    withdrawn = [
        Change(
            pk,
            Cause.STAFF,
            now,
            Status.CANCELLED,
            code=ERASED,
            text="The person was erased.",
            actor=erasure.actor,
        )
        for pk in ready
        if rows[pk].status == Status.QUEUED
    ]
    transitions.apply(rows, withdrawn, now=now)
    _empty(ready, now)
    erasure.messages += len(ready)
    erasure.save(update_fields=["messages"])
    return len(ready)


def _empty(message_ids: Sequence[uuid.UUID], now: datetime) -> None:
    """Leave of the messages what counts and times say; Meta's ids hold the phone number."""
    OutboundMessage.objects.filter(pk__in=message_ids).update(
        to_recipient="",
        payload={},
        reply_to="",
        reference="",
        metadata={},
        idempotency_key=None,
        request_fingerprint="",
        provider_message_id="",
        error_message="",
        updated_at=now,
    )
    OutboundAttempt.objects.filter(message_id__in=message_ids).update(
        provider_message_id="", error_message="", excerpt="", trace_id=""
    )


def _finish(erasure: Erasure) -> int:
    """Forget the person's names, unless something about them is still on its way."""
    person = erasure.contact
    names = persons.needles(person.phone, person.bsuid)
    if deliveries.message_ids(person.pk, 1) or deliveries.is_on_its_way(names):
        return 0  # a call in flight, or a webhook just come: the next round goes on
    now = database.now()
    ServiceWindow.objects.filter(contact=person).delete()
    Contact.objects.filter(pk=person.pk).update(
        phone=None, bsuid=None, time_zone="", erased_at=now, updated_at=now
    )
    erasure.finished_at = now
    erasure.save(update_fields=["finished_at"])
    _audit(erasure, "contact.erased")
    return 1


def _audit(erasure: Erasure, action: str) -> None:
    audit.record(
        [
            audit.Entry(
                erasure.org_id,
                erasure.actor,
                action,
                f"contact:{erasure.contact_id}",
                erasure.reason,
                after={"messages": erasure.messages, "deliveries": erasure.deliveries},
            )
        ]
    )
