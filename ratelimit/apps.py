"""Registers the app."""

from django.apps import AppConfig


class RateLimitConfig(AppConfig):
    """Holds of whole scopes."""

    name = "ratelimit"
    verbose_name = "Limits"
