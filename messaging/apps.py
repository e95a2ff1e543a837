"""Registers the app and its system checks."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """The delivery engine."""

    name = "messaging"
    verbose_name = "Messaging"

    def ready(self) -> None:
        """Register the checks and begin the metrics."""
        from messaging import (  # noqa: PLC0415 - they need the app registry
            checks,  # noqa: F401 - registers itself
            metrics,
        )

        metrics.begin()
