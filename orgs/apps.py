"""Registers the app, its system checks and its database functions."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models import Field, ForeignKey


class OrgsConfig(AppConfig):
    """Organisations, keys and the audit trail."""

    name = "orgs"
    verbose_name = "Organisations"

    def ready(self) -> None:
        """Register what needs the app registry."""
        from orgs import (  # noqa: PLC0415 - they need the registry
            append_only,
            checks,  # noqa: F401 - registers itself
            database,
            openapi,  # noqa: F401 - registers itself
        )

        Field.register_lookup(database.Among)
        ForeignKey.register_lookup(database.Among)

        connection_created.connect(append_only.teach_sqlite, dispatch_uid="orgs.append_only")
