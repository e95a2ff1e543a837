"""The periodic tasks of a new installation; seeded once, then edited in the console."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One periodic task: its name in the console, the Celery task, the period in seconds.

    With ``at_hour`` it runs once a day, at that hour UTC.
    """

    name: str
    task: str
    every_seconds: int
    why: str
    at_hour: int | None = None


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
        "Read phone numbers",
        "messaging.read_numbers",
        60,
        "Quality, name, throughput and tier are asked of Meta; each hourly and after its news.",
    ),
    Entry(
        "Refresh the health figures",
        "messaging.refresh_health",
        30,
        "Whoever asks for an organisation's health often need not wait for it.",
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
        "Check the counts of messages",
        "messaging.check_counts",
        3600,
        "Counters are summed up; a kept number that is not true would be corrected.",
    ),
    Entry(
        "Delete what has been kept long enough",
        "messaging.purge",
        3600,
        "Finished messages and webhooks go after the days set for them.",
    ),
    Entry(
        "Alert: stuck messages",
        "alerts.check_stuck",
        15 * 60,
        "Messages that were tried often and are not sent after hours.",
    ),
    Entry(
        "Alert: dead letter queue",
        "alerts.check_dlq",
        3600,
        "Failed messages that wait for somebody to decide.",
    ),
    Entry(
        "Alert: failure rate",
        "alerts.check_failure_rate",
        5 * 60,
        "Channels on which too large a share of messages fails.",
    ),
    Entry(
        "Alert: queue depth",
        "alerts.check_queue_depth",
        10 * 60,
        "A queue that is longer than it should be.",
    ),
    Entry(
        "Alert: escalation",
        "alerts.check_escalation",
        20 * 60,
        "Messages whose attempts are used up, or nearly.",
    ),
    Entry(
        "Alert: expiring messages",
        "alerts.check_expiring",
        15 * 60,
        "Messages that have waited long and will soon be given up.",
    ),
    Entry(
        "Alert: circuits",
        "alerts.check_circuits",
        60,
        "Apps, accounts and numbers that Meta, or an outage, has stopped.",
    ),
    Entry(
        "Alert: quality and tiers",
        "alerts.check_numbers",
        10 * 60,
        "Numbers rated RED, and portfolios whose tier has changed.",
    ),
    Entry("Alert: quotas", "alerts.check_quotas", 5 * 60, "Quotas at 80 % and used up."),
    Entry(
        "Alert: silent webhooks",
        "alerts.check_silent_webhooks",
        5 * 60,
        "Apps that accept messages but tell nothing of them.",
    ),
    Entry(
        "Alert: webhook inbox",
        "alerts.check_inbox",
        5 * 60,
        "Webhooks that wait, belong to no message, or could not be processed.",
    ),
    Entry(
        "Alert: workers and beat",
        "alerts.check_processes",
        60,
        "Processes not seen for two minutes; workers look for beat by themselves too.",
    ),
    Entry(
        "Daily report of the dead letter queue",
        "alerts.daily_report",
        86_400,
        "By e-mail, for those who want it.",
        at_hour=6,
    ),
    Entry(
        "Delete old incidents",
        "alerts.purge",
        86_400,
        "Resolved incidents and their notices go after half a year.",
        at_hour=3,
    ),
)
