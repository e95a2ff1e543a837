"""The console's pages for messages, numbers and webhooks."""

from messaging.admin import accounts, messages, schedules, webhooks

__all__ = ["accounts", "messages", "schedules", "webhooks"]
