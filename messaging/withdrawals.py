"""Consents taken back: withdrawing the queued messages they covered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from consent.models import Consent, Decision
from messaging import transitions
from messaging.models import OutboundMessage
from messaging.models.messages import CONSENT_REVOKED
from messaging.states import Cause, Status
from messaging.transitions import Change
from orgs import database

# Consents looked at, and messages withdrawn, in one transaction.
CONSENTS = 100
BATCH = 500


def without_consent(message_id: uuid.UUID, purpose: str, answer: str, now: datetime) -> Change:
    """Return the change that withdraws a message the person does not, or no longer, agree to."""
    return Change(
        message_id,
        Cause.CONSENT,
        now,
        Status.CANCELLED,
        code=CONSENT_REVOKED,
        text=f"Consent for {purpose} is {answer}.",
    )


def cancel_withdrawn() -> int:
    """Cancel one batch of queued messages whose consent was taken back; return what was done.

    Whoever took it back, the ledger has marked the consent. The claim refuses these messages
    all the same: this only makes the end visible sooner, and the queue shorter.
    """
    with transaction.atomic():
        now = database.now()
        taken_back = list(
            Consent.objects.filter(cancel_pending=True)
            .exclude(status=Decision.GRANTED)
            .order_by("pk")[:CONSENTS]
        )
        if not taken_back:
            return 0
        covered = _covered(taken_back)
        answers = {(row.contact_id, row.channel, row.purpose): row.status for row in taken_back}
        # Messages are locked before consents are written, as everywhere.
        rows = transitions.lock(pk for pk, *_place in covered)
        transitions.apply(
            rows,
            [
                without_consent(pk, purpose, answers[contact, channel, purpose], now)
                for pk, contact, channel, purpose in covered
                if pk in rows and rows[pk].status == Status.QUEUED
            ],
            now=now,
        )
        if len(covered) < BATCH:
            # One that has changed since we looked keeps its mark.
            Consent.objects.filter(
                pk__in=[row.pk for row in taken_back], updated_at__lt=now
            ).update(cancel_pending=False)
    return max(len(covered), len(taken_back))


def _covered(consents: Sequence[Consent]) -> list[tuple[uuid.UUID, int, str, str]]:
    by_kind: dict[tuple[str, str], list[int]] = {}
    for row in consents:
        by_kind.setdefault((row.channel, row.purpose), []).append(row.contact_id)
    wanted = Q()
    for (channel, purpose), contact_ids in by_kind.items():
        wanted |= Q(contact_id__in=contact_ids, channel=channel, purpose=purpose)
    return list(
        OutboundMessage.objects.filter(wanted, status=Status.QUEUED)
        .order_by("pk")
        .values_list("pk", "contact_id", "channel", "purpose")[:BATCH]
    )
