"""What both databases can do alike: one clock, one statement for many different rows."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from django.db.models.lookups import In
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone
from django.utils.functional import cached_property


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


def release_connection() -> None:
    """Give this thread's connection back, unless it is in a transaction."""
    if not connection.in_atomic_block:
        connection.close()


def take_turns(name: str) -> None:
    """Let nobody else who takes this turn go on until this transaction ends.

    On SQLite only one transaction writes at a time anyway.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


class StatementTime(models.Func):
    """The time PostgreSQL began the statement: one moment for all its rows."""

    template = "statement_timestamp()"
    output_field = models.DateTimeField()


def compiled(query: models.QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return a query as SQL with its parameters, to be embedded in a larger statement."""
    sql, parameters = query.query.sql_with_params()
    return sql, tuple(parameters)


def run_planned(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement that PostgreSQL plans once for each connection; return its rows.

    Only on PostgreSQL, and unless the settings forbid it. Django writes the parameters into the
    text of a statement, so that each is parsed and planned anew: of a large one that takes longer
    than to run it. A large one has its parameters ``numbered``, or psycopg would look for them
    each time.
    """
    connection.ensure_connection()
    kind: Any = psycopg.RawCursor if "$1" in sql else ServerBindingCursor
    with connection.wrap_database_errors:
        planned = kind(connection.connection)
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(planned) as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def numbered(sql: str) -> str:
    """Return the statement with $1, $2, … in the places of its parameters."""
    first, *others = sql.split("%s")
    return first + "".join(f"${place}{text}" for place, text in enumerate(others, start=1))


def array(values: Iterable[int | None]) -> str:
    """Return whole numbers as PostgreSQL writes an array: of one type, however small they are."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def estimate(query: models.QuerySet[Any, Any], most: int = 10_000) -> int:
    """Return about how many rows a query finds, without looking for them.

    PostgreSQL's planner guesses. On SQLite, whose tables are small, they are counted, but no
    more than ``most`` of them.
    """
    if connection.vendor != "postgresql":
        return query.order_by()[:most].count()
    try:
        sql, parameters = compiled(query.order_by().values("pk"))
    except EmptyResultSet:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        (plan,) = cursor.fetchone()
    return int((orjson.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def held(rows: models.QuerySet[Any, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query of values, holding them until the end of the transaction.

    Others may hold and change them too, but neither delete them nor change what identifies them.
    On SQLite nobody else writes meanwhile anyway.
    """
    sql, parameters = compiled(rows)
    lock = " FOR KEY SHARE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(sql + lock, parameters)
        return list(cursor.fetchall())


class Values:
    """Many values of one column, written out once for all statements that ask for them."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = list(values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @cached_property
    def array(self) -> Any:
        """The values as one parameter that PostgreSQL can cast to an array.

        As text where that is safe: psycopg would look at each of them.
        """
        match self._values:
            case [uuid.UUID(), *_]:
                return f"{{{','.join([value.hex for value in self._values])}}}"
            case [int(), *_]:
                return array(self._values)
        return self._values


class Among(In):
    """``__among``: as ``__in``, but on PostgreSQL one array parameter instead of one each.

    Hundreds of placeholders cost more in the client than the query costs in the database, and
    so does looking at each value: they must be of the column's type, and no query, and few
    enough for SQLite's ``IN``.
    """

    lookup_name = "among"

    def get_prep_lookup(self) -> Values:
        """Take the values as they are."""
        return self.rhs if isinstance(self.rhs, Values) else Values(self.rhs)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, list[Any]]:
        """Return ``column = ANY (array)``."""
        column, parameters = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.cast_db_type(connection)
        return f"{column} = ANY (%s::{kind}[])", [*parameters, self.rhs.array]


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
    fields = {name: field_of(model, name) for name in rows[0]}
    target = connection.ops.quote_name(model._meta.db_table)
    assignments = ", ".join(
        f"{_column(field)} = fresh.{_column(field)}"
        for name, field in fields.items()
        if name != key
    )
    return _execute(
        f"UPDATE {target} SET {assignments} FROM {{source}} "  # noqa: S608 - names come from the model, values are parameters
        f"WHERE {target}.{_column(fields[key])} = fresh.{_column(fields[key])}",
        fields,
        rows,
    )


def insert_rows(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows in one statement; each names every field that has no default.

    Every mapping holds the same attribute names. A model instance per row, as ``bulk_create``
    wants, costs several times as much.
    """
    if not rows:
        return
    fields = {name: field_of(model, name) for name in rows[0]}
    target = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(_column(field) for field in fields.values())
    _execute(
        f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {{source}}",  # noqa: S608 - as above
        fields,
        rows,
    )


def upsert_rows(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> None:
    """Insert the rows, or overwrite those whose unique ``key`` fields exist, in one statement.

    No two rows may have the same key.
    """
    if not rows:
        return
    fields = {name: field_of(model, name) for name in rows[0]}
    target = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(_column(field) for field in fields.values())
    unique = ", ".join(_column(fields[name]) for name in key)
    fresh = ", ".join(
        f"{_column(field)} = excluded.{_column(field)}"
        for name, field in fields.items()
        if name not in key
    )
    _execute(
        # SQLite takes ON CONFLICT for a join condition unless a WHERE stands before it.
        f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {{source}} WHERE true "  # noqa: S608 - as above
        f"ON CONFLICT ({unique}) DO UPDATE SET {fresh}",
        fields,
        rows,
    )


def select_pairs(
    model: type[models.Model],
    columns: tuple[str, str, str],
    pairs: Sequence[tuple[Any, int]],
    key_type: str = "bigint",
) -> dict[tuple[Any, int], int]:
    """Return the third column of the rows whose first two are among the pairs, by those two.

    One statement with two arrays on PostgreSQL; ``key_type`` is the first column's type there.
    """
    if not pairs:
        return {}
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    first, second, value = (quote(name) for name in columns)
    wanted = f"SELECT {first}, {second}, {value} FROM {table} WHERE ({first}, {second}) IN "  # noqa: S608 - as above
    parameters: list[Any]
    if connection.vendor == "postgresql":
        wanted += f"(SELECT * FROM unnest(%s::{key_type}[], %s::bigint[]))"  # noqa: S608 - as above
        parameters = [[one for one, _ in pairs], [other for _, other in pairs]]
    else:
        wanted += f"(VALUES {', '.join(['(%s, %s)'] * len(pairs))})"
        parameters = [value for pair in pairs for value in pair]
    with connection.cursor() as cursor:
        cursor.execute(wanted, parameters)
        return {(one, other): found for one, other, found in cursor.fetchall()}


class Rows:
    """Rows of the same fields, written out once for all the statements that take them."""

    def __init__(
        self, fields: Mapping[str, models.Field[Any, Any]], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        self.fields, self.rows = fields, rows

    def sources(self, most: int) -> Iterator[tuple[str, list[Any]]]:
        """Return FROM items named ``fresh`` with all the rows, and their parameters.

        On PostgreSQL it is one; on SQLite none has more than ``most`` parameters.
        """
        if connection.vendor == "postgresql":
            yield self._as_json
            return
        at_once = most // len(self.fields)
        for start in range(0, len(self.rows), at_once):
            yield _values_list(self.fields, self.rows[start : start + at_once])

    @cached_property
    def _as_json(self) -> tuple[str, list[Any]]:
        """One text for all rows: psycopg would look at every single parameter."""
        types = ", ".join(
            f"{_column(field)} {field.cast_db_type(connection)}" for field in self.fields.values()
        )
        columns = [(name, field.column) for name, field in self.fields.items()]
        content = [{column: row[name] for name, column in columns} for row in self.rows]
        text = orjson.dumps(content).decode()
        return f"json_to_recordset(%s::json) AS fresh ({types})", [text]


def run_with_rows(
    template: str, rows: Rows, *, leading: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Run a statement that takes the rows as ``{source}``, named ``fresh``; return what it returns.

    ``leading`` are the parameters of the placeholders before the source.
    """
    return [
        row
        for cursor in _executed(template, rows, leading)
        if cursor.description
        for row in cursor.fetchall()
    ]


def insert_from(
    model: type[models.Model],
    values: Mapping[str, models.expressions.Combinable],
    rows: models.QuerySet[Any, Any],
) -> None:
    """Insert one row for each that a query finds, in one statement that reads nothing back.

    ``values`` says what each field that has no default gets, as expressions on the query's rows.
    """
    columns = ", ".join(_column(field_of(model, name)) for name in values)
    sql, parameters = compiled(
        rows.order_by()
        .annotate(**{f"new_{name}": each for name, each in values.items()})
        .values_list(*[f"new_{name}" for name in values])
    )
    target = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {target} ({columns}) {sql}", parameters)


def _execute(
    template: str, fields: Mapping[str, models.Field[Any, Any]], rows: Sequence[Mapping[str, Any]]
) -> int:
    """Run the statement with the rows as ``{source}``; return how many rows it touched."""
    return sum(int(cursor.rowcount) for cursor in _executed(template, Rows(fields, rows)))


def _executed(template: str, rows: Rows, leading: Sequence[Any] = ()) -> Iterator[CursorWrapper]:
    """Run the statement with the rows as ``{source}``, and give its cursor.

    SQLite bounds the parameters of a statement, so there many rows take several.
    """
    most = 0
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            most = connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        for source, parameters in rows.sources(most - len(leading)):
            cursor.execute(template.format(source=source), [*leading, *parameters])
            yield cursor


def _values_list(
    fields: Mapping[str, models.Field[Any, Any]], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Any]]:
    template = f"({', '.join(['%s'] * len(fields))})"
    values = f"VALUES {', '.join([template] * len(rows))}"
    names = ", ".join(
        f"column{position} AS {_column(field)}"
        for position, field in enumerate(fields.values(), start=1)
    )
    parameters = [
        field.get_db_prep_save(row[name], connection)
        for row in rows
        for name, field in fields.items()
    ]
    source = f"(SELECT {names} FROM ({values})) AS fresh"  # noqa: S608 - as above
    return source, parameters


def field_of(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    """Return the field with this name, ``pk``, or attribute name; raise ValueError for another."""
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
    return connection.ops.quote_name(str(field.column))
