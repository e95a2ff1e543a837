"""Celery's doors."""

from __future__ import annotations

from celery import shared_task

from ratelimit import usage


@shared_task(name="ratelimit.forget")
def forget() -> None:
    """Delete usage that counts no more."""
    for _ in range(usage.MOST_BATCHES):
        if not usage.forget_old():
            return
