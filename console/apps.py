"""Registers the app."""

from django.apps import AppConfig, apps

# Apps of others under the names that the sidebar has for what they hold.
_NAMES = {"auth": "Staff", "axes": "Log-ins", "django_celery_beat": "Schedules"}


class ConsoleConfig(AppConfig):
    """What staff see first, and what they read about one message."""

    name = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        """Name the pages of other people's apps."""
        for label, name in _NAMES.items():
            apps.get_app_config(label).verbose_name = name
