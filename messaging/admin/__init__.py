"""The console's pages for messages, numbers and webhooks."""

from messaging.admin import (
    accounts,
    messages,
    notices,
    pausing,
    people,
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
    "schedules",
    "templates",
    "webhooks",
]
