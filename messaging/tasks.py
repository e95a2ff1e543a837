"""Celery's doors: ticks without arguments that only say "look"."""

from __future__ import annotations

import logging

from celery import shared_task

from messaging import (
    activity,
    expiry,
    health,
    numbers,
    receipts,
    rescue,
    retention,
    stock,
    stops,
    template_sync,
    wake,
)
from messaging.draining import drain
from orgs import logins, tallies

logger = logging.getLogger(__name__)

# Between two batches of a purge, seconds: a year's backlog must not take the disk from sending.
PURGE_REST_SECONDS = 0.05


@shared_task(name="messaging.send_due")
def send_due() -> None:
    """Make this process's dispatcher look for due messages now."""
    wake.ring(wake.SEND)


@shared_task(name="messaging.apply_receipts")
def apply_receipts() -> None:
    """Have the webhooks that wait in the inbox applied, by this process's thread for it.

    Two threads would wait for each other's locks: statuses of one message come close together.
    """
    if not wake.ring(wake.RECEIPTS):
        drain(receipts.apply_pending)


@shared_task(name="messaging.rescue_overdue")
def rescue_overdue() -> None:
    """Take claims that ran out a step further."""
    drain(rescue.rescue_overdue)


@shared_task(name="messaging.cancel_expired")
def cancel_expired() -> None:
    """Withdraw messages whose expiry has passed."""
    drain(expiry.cancel_expired)


@shared_task(name="messaging.rematch_receipts")
def rematch_receipts() -> None:
    """Look again for the messages of unmatched receipts."""
    drain(receipts.rematch)


@shared_task(name="messaging.probe_stops")
def probe_stops() -> None:
    """Ask Meta whether what it has stopped may send again."""
    drain(stops.probe_due)


@shared_task(name="messaging.sync_templates")
def sync_templates() -> None:
    """Ask Meta for the templates of the accounts that are due, or that it knows otherwise."""
    template_sync.ask_after_refusals()
    drain(template_sync.sync_due)


@shared_task(name="messaging.read_numbers")
def read_numbers() -> None:
    """Ask Meta about the phone numbers that are due."""
    drain(numbers.read_due)


@shared_task(name="messaging.refresh_health")
def refresh_health() -> None:
    """Have the figures ready for those who ask for them."""
    health.refresh()


@shared_task(name="messaging.count_activity")
def count_activity() -> None:
    """Count what became of messages lately."""
    activity.count_recent()


@shared_task(name="messaging.check_counts")
def check_counts() -> None:
    """Put the parts of counters together, and see that the kept numbers are true."""
    drain(tallies.fold)
    corrected = stock.recount()
    if corrected:
        logger.warning("Kept numbers of messages were wrong", extra={"count": corrected})


@shared_task(name="messaging.purge")
def purge() -> None:
    """Delete what has been kept long enough."""
    drain(retention.purge_messages, rest=PURGE_REST_SECONDS)
    drain(retention.purge_webhooks, rest=PURGE_REST_SECONDS)
    drain(retention.purge_inbound, rest=PURGE_REST_SECONDS)
    drain(retention.purge_inbound_texts, rest=PURGE_REST_SECONDS)
    drain(retention.purge_discards, rest=PURGE_REST_SECONDS)
    drain(retention.purge_operations, rest=PURGE_REST_SECONDS)
    drain(retention.purge_notices, rest=PURGE_REST_SECONDS)
    drain(logins.purge_sessions, rest=PURGE_REST_SECONDS)
