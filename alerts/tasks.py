"""Celery's doors: one task for each check, so that each has a schedule of its own."""

from __future__ import annotations

from celery import shared_task

from alerts import checking, delivery, reports, retention
from alerts.checklist import CHECKS
from messaging import wake
from messaging.draining import drain


def _make(name: str) -> None:
    @shared_task(name=f"alerts.check_{name}")
    def check() -> None:
        checking.run([name])

    check.__doc__ = f"Run the check {CHECKS[name].title!r}."


for _name in CHECKS:
    _make(_name)


@shared_task(name=delivery.DELIVER)
def deliver() -> None:
    """Have the notices sent that are due, by this process's thread for it."""
    if not wake.ring(delivery.DELIVER):
        drain(delivery.deliver_due)


@shared_task(name="alerts.daily_report")
def daily_report() -> None:
    """Write the daily report of the dead letter queue for those who want it."""
    reports.write_daily()


@shared_task(name="alerts.purge")
def purge() -> None:
    """Delete incidents and notices that have been kept long enough."""
    drain(retention.purge)
