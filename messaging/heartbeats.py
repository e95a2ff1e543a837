"""Whether workers and beat are at work, told by themselves through the database.

Each notes it from the loop that does its work, not from a thread beside it: a worker whose
dispatcher hangs, or a beat that waits for its broker, is not seen any more.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count, Max, Q
from django.db.models.functions import Now

from messaging.models import Heartbeat
from orgs import database

logger = logging.getLogger(__name__)

Kind = Heartbeat.Kind

# A process writes its row this often at most, seconds.
EVERY_SECONDS = 10.0
# One that was not seen for so long is taken for gone.
MISSING_AFTER = timedelta(minutes=2)
KEPT_FOR = timedelta(days=1)


@dataclass(slots=True)
class _Own:
    """What this process remembers of its row."""

    again_at: float = 0.0
    started_at: datetime | None = None


_own = {kind: _Own() for kind in Kind}
_lock = threading.Lock()


def note(kind: Kind) -> None:
    """Say that this process is at work; mostly only a look at the clock, and never raises."""
    own = _own[kind]
    with _lock:
        if monotonic() < own.again_at:
            return
        own.again_at = monotonic() + EVERY_SECONDS
    try:
        _write(kind, own)
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        logger.warning("Heartbeat not written (%s)", type(error).__name__)


def _write(kind: Kind, own: _Own) -> None:
    row = Heartbeat.objects.filter(kind=kind, name=_name())
    if own.started_at is not None and row.update(seen_at=Now()):
        return
    now = database.now()
    if own.started_at is None:
        # Rows are added by new processes only, so this is when old ones go. Those of the other
        # kind stay: they tell since when it is missing.
        Heartbeat.objects.filter(kind=kind, seen_at__lt=now - KEPT_FOR).delete()
        own.started_at = now
    database.upsert_rows(
        Heartbeat,
        [{"kind": kind.value, "name": _name(), "started_at": own.started_at, "seen_at": now}],
        key=["kind", "name"],
    )


def _name() -> str:
    return f"{socket.gethostname()[:60]}:{os.getpid()}"


def last_seen(kind: Kind) -> datetime | None:
    """Return when the last process of a kind was seen; None when there never was one."""
    seen: datetime | None = Heartbeat.objects.filter(kind=kind).aggregate(at=Max("seen_at"))["at"]
    return seen


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of the processes of one kind."""

    age: timedelta | None  # since one was last seen; None: never
    alive: int  # how many were seen lately

    @property
    def is_missing(self) -> bool:
        """Say whether none was seen for too long."""
        return not self.alive


def pulses(now: datetime) -> dict[Kind, Pulse]:
    """Return what is known of each kind, by one query."""
    rows = Heartbeat.objects.values("kind").annotate(
        last=Max("seen_at"), alive=Count("pk", filter=Q(seen_at__gt=now - MISSING_AFTER))
    )
    found = {row["kind"]: Pulse(max(now - row["last"], timedelta()), row["alive"]) for row in rows}
    return {kind: found.get(kind.value, Pulse(None, 0)) for kind in Kind}


def ages(now: datetime) -> dict[Kind, timedelta | None]:
    """Return how long ago a process of each kind was last seen; None: never."""
    return {kind: pulse.age for kind, pulse in pulses(now).items()}


def forget() -> None:
    """Have the next note written, as by a new process; for tests."""
    _own.update({kind: _Own() for kind in Kind})
