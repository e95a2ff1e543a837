"""The console's pages for messages, numbers, limits and webhooks."""

from messaging.admin import (
    accounts,
    messages,
    notices,
    pausing,
    people,
    quotas,
    schedules,
    templates,
    webhooks,
)

__all__ = [
    "accounts",
    "messages",
    "notices",
    "pausing",
    "people",
    "quotas",
    "schedules",
    "templates",
    "webhooks",
]
