"""Registers the app, its system checks and its database functions."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class OrgsConfig(AppConfig):
    """Organisations, keys and the audit trail."""

    name = "orgs"
    verbose_name = "Organisations"

    def ready(self) -> None:
        """Register what needs the app registry."""
        from orgs import append_only, checks, openapi  # noqa: F401, PLC0415 - need the registry

        connection_created.connect(append_only.teach_sqlite, dispatch_uid="orgs.append_only")
