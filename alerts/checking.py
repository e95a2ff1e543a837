"""Running checks: read, judge under a lock, let the incidents follow."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from alerts import delivery, incidents, notices, thresholds
from alerts.checklist import CHECKS, Check
from alerts.models import CheckRun
from alerts.rules.base import Moment
from alerts.thresholds import Thresholds
from orgs import database

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a check found."""

    check: Check
    found: int  # incidents that go on
    told: int  # notices that were written
    error: str = ""


def run(names: Iterable[str] = CHECKS) -> list[Result]:
    """Run the checks one after the other; one that fails keeps no other from running."""
    if not settings.OUTBOUND_ALERT_ENABLED:
        return []
    return [_attempt(CHECKS[name]) for name in names]


def _attempt(check: Check) -> Result:
    limits = thresholds.current()
    try:
        begun = monotonic()
        at = database.now()
        facts = check.read(limits, at)
        return _judge(check, facts, limits, at, round((monotonic() - begun) * 1000))
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("A check failed", extra={"check": check.name})
        error_name = type(error).__name__
        CheckRun.objects.update_or_create(
            name=check.name, defaults={"error": error_name[:200], "failed_at": database.now()}
        )
        return Result(check, 0, 0, error_name)


@transaction.atomic
def _judge(check: Check, facts: Any, limits: Thresholds, at: datetime, duration_ms: int) -> Result:
    """Judge the figures; those of a moment before the last judged ones change nothing."""
    CheckRun.objects.get_or_create(name=check.name)
    # Two processes may run the same check: the second waits here, and then sees what is open.
    last = CheckRun.objects.select_for_update().get(name=check.name)
    if last.read_at is not None and last.read_at >= at:
        return Result(check, last.found, 0)
    known = incidents.open_of(check.name)
    findings = check.rule(facts, limits, Moment(at, frozenset(known)))
    steps = incidents.follow(check.name, findings, known, at)
    told = notices.write(steps, at)
    if told:
        delivery.soon()
    CheckRun.objects.filter(pk=last.pk).update(
        read_at=at, duration_ms=duration_ms, found=len(findings), error=""
    )
    return Result(check, len(findings), told)
