"""Tables that only grow: the database itself refuses to change or delete their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation

_may_delete: ContextVar[bool] = ContextVar("may_delete", default=False)

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION outbound_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('outbound.allow_delete', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


@contextmanager
def deletion_allowed() -> Iterator[None]:
    """Allow deletes from append-only tables inside one transaction: retention and erasure only."""
    token = _may_delete.set(True)
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('outbound.allow_delete', 'on', true)")
            yield
            if connection.vendor == "postgresql":
                # The transaction around may go on; the permission ends here.
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('outbound.allow_delete', 'off', true)")
    finally:
        _may_delete.reset(token)


def teach_sqlite(
    sender: type[BaseDatabaseWrapper], connection: BaseDatabaseWrapper, **_kwargs: Any
) -> None:
    """Give a new SQLite connection the function its triggers ask; others delete nothing."""
    del sender
    if connection.vendor == "sqlite":
        connection.connection.create_function(
            "outbound_may_delete", 0, lambda: int(_may_delete.get())
        )


class AppendOnly(Operation):
    """A migration step that makes a table append-only."""

    reversible = True

    def __init__(self, table: str) -> None:
        self.table = table

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing in the models' picture."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *_states: Any
    ) -> None:
        """Create the triggers, in place of earlier ones.

        To be repeated after a change of the table: SQLite builds it anew, without triggers.
        """
        self.database_backwards(app_label, schema_editor, *_states)
        for statement in self._statements(schema_editor.connection.vendor):
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *_states: Any
    ) -> None:
        """Drop the triggers."""
        on_table = f" ON {self.table}" if schema_editor.connection.vendor == "postgresql" else ""
        for verb in ("update", "delete"):
            schema_editor.execute(
                f"DROP TRIGGER IF EXISTS {self.table}_no_{verb}{on_table}", params=None
            )

    def describe(self) -> str:
        """Say what it does."""
        return f"Make {self.table} append-only"

    def _statements(self, vendor: str) -> list[str]:
        if vendor == "postgresql":
            return [
                _POSTGRES_FUNCTION,
                *(
                    f"CREATE TRIGGER {self.table}_no_{verb} BEFORE {verb.upper()} ON {self.table} "
                    "FOR EACH ROW EXECUTE FUNCTION outbound_append_only()"
                    for verb in ("update", "delete")
                ),
            ]
        refuse = f"SELECT RAISE(ABORT, 'table {self.table} is append-only')"
        return [
            f"CREATE TRIGGER {self.table}_no_{verb} BEFORE {verb.upper()} ON {self.table} "
            f"{condition} BEGIN {refuse}; END"
            for verb, condition in (("update", ""), ("delete", "WHEN NOT outbound_may_delete()"))
        ]


class AppendOnlyModel(models.Model):
    """A model of such a table; says so before the database has to."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; raise TypeError for a row that exists."""
        if not self._state.adding:
            message = f"{type(self).__name__} is append-only: write a new row instead."
            raise TypeError(message)
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raise TypeError; retention deletes in bulk inside deletion_allowed()."""
        message = f"{type(self).__name__} is append-only."
        raise TypeError(message)
