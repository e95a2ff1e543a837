"""What both databases can do alike: one clock, one statement for many different rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models
from django.utils import timezone


def now() -> datetime:
    """Return the time all machines agree on, aware UTC.

    PostgreSQL's clock; on SQLite there is one machine only, so Python's serves.
    """
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (value,) = cursor.fetchone()
    return value.astimezone(UTC)  # type: ignore[no-any-return]  # psycopg's row is untyped


class StatementTime(models.Func):
    """The time PostgreSQL began the statement: one moment for all its rows."""

    template = "statement_timestamp()"
    output_field = models.DateTimeField()


def compiled(query: models.QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return a query as SQL with its parameters, to be embedded in a larger statement."""
    sql, parameters = query.query.sql_with_params()
    return sql, tuple(parameters)


def update_rows(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str = "pk",
) -> int:
    """Update rows that each get values of their own, in one statement; return the row count.

    Every mapping holds ``key`` and the same other field names (attribute names, so a
    foreign key is ``org_id``). Django's ``bulk_update`` compiles a CASE arm per row and
    field and costs ten to twenty times as much.
    """
    if not rows:
        return 0
    names = list(rows[0])
    fields = {name: _field(model, name) for name in names}
    quote = connection.ops.quote_name
    alias = {name: f"column{position}" for position, name in enumerate(names, start=1)}
    target = quote(model._meta.db_table)
    assignments = ", ".join(
        f"{quote(_column(fields[name]))} = {_cast(fields[name], alias[name])}"
        for name in names
        if name != key
    )
    row_template = f"({', '.join(['%s'] * len(names))})"
    sql = (
        f"UPDATE {target} SET {assignments} "  # noqa: S608 - names come from the model, values are parameters
        f"FROM (VALUES {', '.join([row_template] * len(rows))}) AS fresh "
        f"WHERE {target}.{quote(_column(fields[key]))} = {_cast(fields[key], alias[key])}"
    )
    parameters = [
        fields[name].get_db_prep_save(row[name], connection) for row in rows for name in names
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    if name == "pk":
        primary_key: models.Field[Any, Any] | None = model._meta.pk
        if primary_key is None:
            message = f"{model.__name__} has no primary key."
            raise TypeError(message)
        return primary_key
    for field in model._meta.concrete_fields:
        if name in {field.name, field.attname}:
            return field
    message = f"{model.__name__} has no field {name}."
    raise ValueError(message)


def _column(field: models.Field[Any, Any]) -> str:
    return str(field.column)


def _cast(field: models.Field[Any, Any], alias: str) -> str:
    """Give a VALUES column its type; PostgreSQL would read a column of NULLs as text."""
    reference = f"fresh.{alias}"
    if connection.vendor != "postgresql":
        return reference
    return f"CAST({reference} AS {field.cast_db_type(connection)})"
