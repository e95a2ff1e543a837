"""Erasing a person: phone, ids and contents gone from every table; a STOP stays effective."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from consent import remembered
from consent.models import Consent, Contact
from consent.transfer import forgetting
from messaging import channels, transitions
from messaging.models import (
    Discard,
    Erasure,
    InboundMessage,
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

logger = logging.getLogger(__name__)

ERASED = "ERASED"
# Messages emptied in one transaction.
BATCH = 500
# Erasures looked at for one that can go on.
OPEN = 20
# Longer than any transaction that may still write what was known before: only after that the
# stored webhooks are searched.
SETTLE = timedelta(minutes=1)


def request(contact: Contact, *, actor: str, reason: str) -> Erasure:
    """Begin to erase a person; from here on nothing is sent to them. Once per person.

    Names and consents go at once, and with them every permission to write; a STOP is kept under a
    keyed hash, and whoever comes under the same name from now on is somebody new. The rest
    follows in the background, in batches, for which the erasure keeps the names until its end.
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
                "names": "\n".join(persons.needles(locked.phone, locked.bsuid)),
            },
        )
        if new:
            _forget(locked, erasure.requested_at)
            _audit(erasure, "contact.erasure_requested")
    return erasure


def _forget(contact: Contact, now: datetime) -> None:
    """Take names and consents off the locked contact, keeping what STOPs stand."""
    consents = Consent.objects.filter(contact=contact)
    remembered.keep(contact, list(consents.select_for_update().order_by("pk")))
    consents.delete()
    # What stood there has been copied, with its proof.
    Consent.objects.filter(contact__merged_into=contact).delete()
    ServiceWindow.objects.filter(contact=contact).delete()
    InboundMessage.objects.filter(contact=contact).delete()
    Contact.objects.filter(pk=contact.pk).update(
        phone=None,
        bsuid=None,
        time_zone="",
        zone_changed_at=None,
        undeliverable_count=0,
        suspect_at=None,
        merged_into=None,
        erased_at=now,
        updated_at=now,
    )


def proceed() -> int:
    """Take an open erasure one batch further; return 0 when there is none to go on with.

    One may wait for the answer to a call in flight, or fail: it holds up no other, and is taken
    again when the others had their turn.
    """
    with transaction.atomic():
        now = database.now()
        waiting = (
            Erasure.objects.select_for_update(skip_locked=True)
            .filter(finished_at=None)
            .exclude(emptied_at__gt=now - SETTLE)
            .order_by(F("tried_at").asc(nulls_first=True), "pk")[:OPEN]
        )
        for erasure in waiting:
            if done := _attempt(erasure):
                return done
            Erasure.objects.filter(pk=erasure.pk).update(tried_at=now)
    return 0


def _attempt(erasure: Erasure) -> int:
    try:
        with transaction.atomic():
            return _go_on(erasure)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("An erasure failed; it is tried again", extra={"erasure_id": erasure.pk})
        return 0


def _go_on(erasure: Erasure) -> int:
    """Do the next step: strip imports, which could bring the person back, then empty messages.

    After these wait for what was under way, search webhooks, finish.
    """
    names = erasure.names.splitlines()
    looked = forgetting.strip(erasure.org_id, names, erasure.requested_at, erasure.parts_up_to)
    if looked.up_to > erasure.parts_up_to:
        erasure.parts_up_to = looked.up_to
        erasure.save(update_fields=["parts_up_to"])
        return 1
    if done := _empty_messages(erasure):
        return done
    if not looked.is_done or deliveries.message_ids(erasure.contact_id, 1):
        return 0  # a file being uploaded, or a call in flight: its end is awaited
    now = database.now()
    if erasure.emptied_at is None:
        erasure.emptied_at = now
        erasure.save(update_fields=["emptied_at"])
    if now < erasure.emptied_at + SETTLE:
        return 0
    return _search_deliveries(erasure, erasure.emptied_at) or _finish(erasure, now)


def _search_deliveries(erasure: Erasure, before: datetime) -> int:
    """Empty one range of deliveries of the person; return 0 when all have been searched.

    Those that come after the messages were emptied hold no more than statuses about them, which
    are emptied as they are processed.
    """
    names = erasure.names.splitlines()
    found = deliveries.search(erasure.contact_id, names, erasure.searched_up_to, before)
    if found is None:
        return 0
    for pk in found.deliveries:
        places = found.positions.get(pk, frozenset())
        delivery = WebhookDelivery.objects.get(pk=pk)
        cleaned = persons.without(
            bytes(delivery.body),
            names,
            places,
            deliveries.of_others(erasure.org_id, pk),
            channels.error_table(),
        )
        WebhookDelivery.objects.filter(pk=pk).update(body=cleaned.body)
        deliveries.forget_ids(pk, cleaned.positions | places)
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
    Discard.objects.filter(message_id__in=message_ids).delete()
    OutboundAttempt.objects.filter(message_id__in=message_ids).update(
        provider_message_id="", error_message="", excerpt="", trace_id=""
    )


def _finish(erasure: Erasure, now: datetime) -> int:
    """Forget the names too, unless a webhook from before is yet to be processed."""
    if erasure.emptied_at and deliveries.is_pending(erasure.emptied_at):
        return 0
    erasure.names, erasure.finished_at = "", now
    erasure.save(update_fields=["names", "finished_at"])
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
