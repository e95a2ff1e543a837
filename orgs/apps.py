"""Registers the app, its system checks and its database functions."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.backends.signals import connection_created
from django.db.models import Field, ForeignKey
from django.db.models.signals import post_migrate


class OrgsConfig(AppConfig):
    """Organisations, keys and the audit trail."""

    name = "orgs"
    verbose_name = "Organisations"

    def ready(self) -> None:
        """Register what needs the app registry."""
        from axes.signals import user_locked_out  # noqa: PLC0415 - as above

        from orgs import (  # noqa: PLC0415 - they need the registry
            append_only,
            checks,  # noqa: F401 - registers itself
            database,
            logins,
            openapi,  # noqa: F401 - registers itself
            roles,
        )

        Field.register_lookup(database.Among)
        ForeignKey.register_lookup(database.Among)

        connection_created.connect(append_only.teach_sqlite, dispatch_uid="orgs.append_only")
        post_migrate.connect(roles.apply_after_migrate, dispatch_uid="orgs.roles")
        user_logged_in.connect(logins.note_login, dispatch_uid="orgs.login")
        user_locked_out.connect(logins.note_shut_out, dispatch_uid="orgs.shut_out")
