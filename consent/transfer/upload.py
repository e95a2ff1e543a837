"""Storing an uploaded file in parts, so that neither the request nor a worker holds it whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from consent.models import ConsentImport, ImportPart
from consent.transfer import table
from orgs import audit, database
from orgs.models import Organization

# Rows of one part: one transaction when it is recorded.
PART_ROWS = 1000
MOST_ROWS = 5_000_000

State = ConsentImport.State


class UploadError(ValueError):
    """The file cannot be taken; the text says why and repeats nothing of it."""


def store(org: Organization, file: BinaryIO, *, actor: str) -> ConsentImport:
    """Store a CSV file in UTF-8, with comma, semicolon or tab; return the import to be tried out.

    Raises UploadError; what was stored by then is deleted.
    """
    now = database.now()
    made = ConsentImport.objects.create(org=org, actor=actor, created_at=now, updated_at=now)
    try:
        _store_parts(made, file)
    except (UnicodeDecodeError, csv.Error, table.HeaderError, UploadError) as error:
        made.delete()
        raise _explained(error) from None
    # Nothing to be tried out when somebody has discarded it meanwhile.
    ConsentImport.objects.filter(pk=made.pk, state=State.UPLOADING).update(
        state=State.TRYING, columns=made.columns, rows=made.rows, updated_at=database.now()
    )
    made.refresh_from_db()
    audit.record(
        [
            audit.Entry(
                org.pk,
                actor,
                "consent_import.uploaded",
                f"consent_import:{made.pk}",
                after={"rows": made.rows},
            )
        ]
    )
    return made


def _store_parts(made: ConsentImport, file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        reader = csv.reader(text, delimiter=_delimiter(text), strict=True)
        header = next(reader, None)
        if header is None:
            message = "The file is empty."
            raise UploadError(message)
        made.columns = table.columns_of(_clean(header))
        for position, rows in enumerate(_parts(_rows(reader))):
            made.rows += len(rows)
            if made.rows > MOST_ROWS:
                message = f"At most {MOST_ROWS} rows in one file."
                raise UploadError(message)
            ImportPart.objects.create(of=made, position=position, rows=rows)
    finally:
        text.detach()  # the file is closed by whoever opened it


def _rows(reader: Iterator[list[str]]) -> Iterator[list[object]]:
    """Yield each row with the line it ends on; empty lines are none."""
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield [reader.line_num, _clean(cells)]  # type: ignore[attr-defined]  # of csv's reader


def _clean(cells: list[str]) -> list[str]:
    """Return the cells without NUL, which PostgreSQL's texts cannot hold."""
    return [cell.replace("\x00", "") for cell in cells]


def _parts(rows: Iterator[list[object]]) -> Iterator[list[list[object]]]:
    part: list[list[object]] = []
    for row in rows:
        part.append(row)
        if len(part) == PART_ROWS:
            yield part
            part = []
    if part:
        yield part


def _delimiter(text: io.TextIOWrapper) -> str:
    """Return what separates the names in the first line."""
    first = text.readline(10_000)
    text.seek(0)
    return max(",;\t", key=first.count)


def _explained(error: Exception) -> UploadError:
    if isinstance(error, UnicodeDecodeError):
        return UploadError("The file is not in UTF-8; export it again as CSV UTF-8.")
    if isinstance(error, csv.Error):
        return UploadError(
            "The file is not CSV: a quotation mark is not closed, or a cell is huge."
        )
    return UploadError(str(error))
