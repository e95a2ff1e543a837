"""Registers the app."""

from django.apps import AppConfig


class ConsentConfig(AppConfig):
    """Contacts and the ledger of their consents."""

    name = "consent"
    verbose_name = "Consent"
