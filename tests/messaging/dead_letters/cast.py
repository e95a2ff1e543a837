"""Dead letters for the tests, and the workers' part of an operation."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from messaging.dead_letters import bulk, working
from messaging.dead_letters.selection import Selection
from messaging.models import BulkOperation, OutboundMessage
from messaging.operations import Instruction
from messaging.states import Cause, Status
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory

ADA = Instruction("user:1", Cause.STAFF, "Meta has mended it")
BOB = Instruction("user:2", Cause.STAFF, "no longer wanted")


def dead(number, count: int = 1, **fields: object) -> list[OutboundMessage]:
    """Make dead letters to somebody who agrees to be written to."""
    contact = fields.pop("contact", None)
    if contact is None:
        contact = ContactFactory(org=number.org)
        ConsentFactory(contact=contact)
    defaults = {
        "error_code": "131016",
        "error_message": "Service overloaded.",
        "attempt_count": 5,
        "failed_at": timezone.now() - timedelta(hours=1),
        "status": Status.FAILED,
    }
    return [
        MessageFactory(phone_number=number, contact=contact, **{**defaults, **fields})
        for _ in range(count)
    ]


def work() -> None:
    """Do what the workers would, until nothing is left to do now."""
    while working.proceed():
        pass


def requeue_all(instruction: Instruction = ADA, **fields: object) -> BulkOperation:
    """Have everything that matches requeued."""
    rate = fields.pop("rate", None)
    return bulk.start("requeue", Selection(**fields), instruction, rate=rate)


def discard_all(instruction: Instruction = BOB, **fields: object) -> BulkOperation:
    """Have everything that matches discarded."""
    return bulk.start("discard", Selection(**fields), instruction)


def statuses() -> dict[str, int]:
    """Count all messages by status."""
    counts: dict[str, int] = {}
    for status in OutboundMessage.objects.values_list("status", flat=True):
        counts[status] = counts.get(status, 0) + 1
    return counts
