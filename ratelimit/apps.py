"""Registers the app."""

from django.apps import AppConfig


class RateLimitConfig(AppConfig):
    """Limits, their usage, and holds of whole scopes."""

    name = "ratelimit"
    verbose_name = "Limits"

    def ready(self) -> None:
        """Begin the metrics; models can be imported only now."""
        from ratelimit import metrics  # noqa: PLC0415 - as above

        metrics.register()
