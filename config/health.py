"""Health of the process (/healthz) and whether it can serve (/readyz)."""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from messaging import heartbeats
from orgs import database
from ratelimit import limiter

logger = logging.getLogger(__name__)


@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 while the process runs; looks at nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database answers and is migrated; the rest is reported, not required.

    Without Redis, beat or workers, messages are still accepted and lost by nobody.
    """
    checks = {"database": _database(), "redis": limiter.redis_state()}
    ready = checks["database"] == "ok"
    checks |= _processes() if ready else {}
    return JsonResponse(
        {"status": "ok" if ready else "unavailable", "checks": checks},
        status=200 if ready else 503,
    )


def _processes() -> dict[str, str]:
    """Return for each kind of process whether one was seen lately."""
    try:
        pulses = heartbeats.pulses(database.now())
    except (DatabaseError, InterfaceError):
        return {}
    return {kind.value: "missing" if pulse.is_missing else "ok" for kind, pulse in pulses.items()}


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError):
        logger.warning("Readiness: the database does not answer")
        return "down"
    return "migrations pending" if pending else "ok"
