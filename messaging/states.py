"""The table of allowed moves between the statuses of a message."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    """Where a message stands."""

    QUEUED = "QUEUED", "Queued"
    SENDING = "SENDING", "Sending"
    SENT = "SENT", "Sent"
    DELIVERED = "DELIVERED", "Delivered"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"


class Cause(models.TextChoices):
    """What made a message move."""

    INTAKE = "intake", "Accepted from the client"
    CLAIM = "claim", "Taken by a worker"
    RESULT = "result", "Answer of the provider"
    RECEIPT = "receipt", "Status from the provider"
    RESCUE = "rescue", "Claim ran out"
    RULE = "rule", "Refused by a rule"
    EXPIRY = "expiry", "Expired"
    CONSENT = "consent", "Consent withdrawn"
    CLIENT = "client", "Client's request"
    STAFF = "staff", "Staff"


# from → to → when. A pair that is not here is skipped and counted, never raised.
MOVES: dict[Status, dict[Status, str]] = {
    Status.QUEUED: {
        Status.SENDING: "claimed",
        Status.SENT: "receipt of an earlier attempt",
        Status.DELIVERED: "receipt of an earlier attempt",
        Status.FAILED: "refused by rule",
        Status.CANCELLED: "client, staff, expiry, consent revoked",
    },
    Status.SENDING: {
        Status.QUEUED: "retry, throttled, not sent, unknown after its window",
        Status.SENT: "accepted, or receipt first",
        Status.DELIVERED: "receipt overtook the answer",
        Status.FAILED: "permanent error, attempts used up, unknown on hold",
    },
    Status.SENT: {
        Status.QUEUED: "transient failure reported, attempts left",
        Status.DELIVERED: "delivered or read",
        Status.FAILED: "failed receipt",
    },
    Status.DELIVERED: {},
    Status.FAILED: {
        Status.QUEUED: "requeued",
        Status.SENT: "sent receipt after DELIVERY_UNKNOWN",
        Status.DELIVERED: "proof of delivery",
        Status.CANCELLED: "discarded, with a reason",
    },
    Status.CANCELLED: {
        Status.SENT: "receipt of an attempt whose answer was lost",
        Status.DELIVERED: "receipt of an attempt whose answer was lost",
        Status.FAILED: "discard undone",
    },
}

# Nothing more is expected to happen by itself, except that a late receipt may still correct it.
ENDED = frozenset({Status.DELIVERED, Status.FAILED, Status.CANCELLED})


def can_move(old: str, new: str) -> bool:
    """Say whether the table allows the move."""
    return Status(new) in MOVES[Status(old)]


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> QUEUED: accepted"]
    lines += [
        f"    {old.value} --> {new.value}: {when}"
        for old, targets in MOVES.items()
        for new, when in targets.items()
    ]
    return "\n".join(lines) + "\n"
