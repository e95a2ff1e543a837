"""Celery's doors."""

from __future__ import annotations

from celery import shared_task

from ratelimit import quota, usage


@shared_task(name="ratelimit.tidy")
def tidy() -> None:
    """Delete usage that counts no more, and let go whom no limit holds any more."""
    quota.ensure_rows()
    quota.release_roomy()
    usage.forget_old()
