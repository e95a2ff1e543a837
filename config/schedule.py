"""The periodic tasks of a new installation; seeded once, then edited in the console."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One periodic task: its name in the console, the Celery task, the period in seconds."""

    name: str
    task: str
    every_seconds: int
    why: str


DEFAULTS = (
    Entry(
        "Cancel expired messages",
        "messaging.cancel_expired",
        30,
        "A message whose expiry has passed is withdrawn even when its number is on hold.",
    ),
    Entry(
        "Match parked receipts again",
        "messaging.rematch_receipts",
        60,
        "A status that came before we knew its message finds it later.",
    ),
    Entry(
        "Ask for the health of stopped numbers",
        "messaging.probe_stops",
        30,
        "What Meta has stopped goes on by itself once Meta allows it.",
    ),
    Entry(
        "Read message templates",
        "messaging.sync_templates",
        60,
        "Accounts whose templates are due are read from Meta; each every 15 minutes.",
    ),
    Entry(
        "Count what was sent",
        "messaging.count_activity",
        15,
        "The dashboard shows minutes that are counted already, so that it reads no messages.",
    ),
    Entry(
        "Tidy up the limits",
        "ratelimit.tidy",
        60,
        "Usage that counts no more would pile up; a raised default quota frees who waits for it.",
    ),
    Entry(
        "Delete what has been kept long enough",
        "messaging.purge",
        3600,
        "Finished messages and webhooks go after the days set for them.",
    ),
)
