"""Registers the app, its system checks and its metrics."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Incidents and who is told of them."""

    name = "alerts"
    verbose_name = "Alerts"

    def ready(self) -> None:
        """Register what needs the app registry."""
        from alerts import metrics, settings_check  # noqa: F401, PLC0415 - they need the registry

        metrics.begin()
