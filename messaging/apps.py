"""Registers the app and its system checks."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """The delivery engine."""

    name = "messaging"
    verbose_name = "Messaging"

    def ready(self) -> None:
        """Register the checks."""
        from messaging import checks  # noqa: F401, PLC0415 - checks need the app registry
