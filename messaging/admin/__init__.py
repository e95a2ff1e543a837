"""The console's pages for messages, numbers, limits and webhooks."""

from messaging.admin import (
    accounts,
    dead_letters,
    heartbeats,
    messages,
    notices,
    operations,
    pausing,
    people,
    quotas,
    schedules,
    templates,
    webhooks,
)

__all__ = [
    "accounts",
    "dead_letters",
    "heartbeats",
    "messages",
    "notices",
    "operations",
    "pausing",
    "people",
    "quotas",
    "schedules",
    "templates",
    "webhooks",
]
