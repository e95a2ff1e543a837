"""What follows from people's wishes and staff's settings, done in the background."""

from __future__ import annotations

from consent.transfer import importing
from messaging import quiet_hours, withdrawals
from messaging.persons import erasing

_JOBS = (withdrawals.cancel_withdrawn, quiet_hours.reconsider, erasing.proceed, importing.proceed)


def do_some() -> int:
    """Do one batch of each chore; return how much was done."""
    return sum(job() for job in _JOBS)
