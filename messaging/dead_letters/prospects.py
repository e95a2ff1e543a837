"""What would become of dead letters if they were requeued now, by the rules of the claim."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When

from consent import ledger
from messaging import holding, templates, windows
from messaging.models import OutboundMessage
from messaging.models.messages import MessageQuerySet
from ratelimit import holds, quota

# So many messages, the oldest, are asked about before an operation; the rest is only counted.
MOST = 100_000

SEND = "send"
HELD = "held"
NO_CONSENT = "no_consent"
EXPIRED = "expired"
WINDOW_CLOSED = "window_closed"
TEMPLATE_ENDED = "template_ended"
SWITCHED_OFF = "switched_off"

# A message that a hold stops is requeued all the same: it goes when the hold ends.
GOES = frozenset({SEND, HELD})
ALL = (SEND, HELD, NO_CONSENT, EXPIRED, WINDOW_CLOSED, TEMPLATE_ENDED, SWITCHED_OFF)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen to the messages that match."""

    matched: int
    looked_at: int  # less than ``matched`` when there are too many to ask about all
    counts: dict[str, int]  # by prospect; none that is zero


def judged(
    messages: MessageQuerySet, at: datetime
) -> QuerySet[OutboundMessage, tuple[uuid.UUID, str]]:
    """Return the id of each message with its prospect."""
    return messages.annotate(prospect=_prospect(at)).values_list("pk", "prospect")


def preview(messages: MessageQuerySet, at: datetime) -> Preview:
    """Count what would become of the messages, by two statements."""
    matched = messages.count()
    some = messages
    if matched > MOST:
        oldest = messages.order_by("pk").values("pk")[:MOST]
        some = OutboundMessage.objects.filter(pk__in=oldest)
    found = (
        some.order_by()
        .annotate(prospect=_prospect(at))
        .values("prospect")
        .annotate(count=Count("pk"))
        .values_list("prospect", "count")
    )
    counts = dict(found)
    return Preview(matched, sum(counts.values()), counts)


def _prospect(at: datetime) -> Case:
    """Return the first rule that stops a message, in the order in which the claim asks."""
    in_force = [hold for found in holds.active(at).values() for hold in found]
    # Meta throttles some organisations as a whole, which is no hold of its own.
    waits = holding.stopped(in_force) | Q(org__in=list(quota.throttled(at)))
    off = Q(phone_number__is_active=False) | Q(phone_number__org__is_active=False)
    return Case(
        When(expires_at__lte=at, then=Value(EXPIRED)),
        # Of a person who was erased nothing is left to send to.
        When(Q(to_recipient="") | ~ledger.allows(at), then=Value(NO_CONSENT)),
        When(windows.keeps_out(at), then=Value(WINDOW_CLOSED)),
        When(templates.has_ended(), then=Value(TEMPLATE_ENDED)),
        When(off, then=Value(SWITCHED_OFF)),
        When(waits, then=Value(HELD)),
        default=Value(SEND),
        output_field=CharField(),
    )
