"""Registers the app."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """What staff see first, and what they read about one message."""

    name = "console"
    verbose_name = "Console"
