"""Taking a person who is erased out of the files that wait to be recorded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from consent.models import ConsentImport, ImportPart

# Parts looked through in one transaction; each has up to a thousand rows.
PARTS = 50


@dataclass(frozen=True, slots=True)
class Looked:
    """How far the parts have been looked through."""

    up_to: int  # the last part
    is_done: bool  # no part from before can follow


def strip(org_id: int, names: Collection[str], before: datetime, after: int) -> Looked:
    """Take the rows about a person out of the next parts of older imports; in a transaction.

    ``names`` are the digits of the phone and the BSUID. Whoever is named by a file that came
    later is somebody new.
    """
    imports = ConsentImport.objects.filter(org=org_id, created_at__lt=before)
    waiting = ImportPart.objects.filter(of__in=imports, pk__gt=after).order_by("pk")
    found = dict(waiting.values_list("pk", "of_id")[:PARTS])
    if not found:
        # A file that is still being stored may bring more.
        uploading = imports.filter(state=ConsentImport.State.UPLOADING)
        return Looked(after, is_done=not uploading.exists())
    # Who records a part holds its import: what is read after this is not being recorded.
    list(imports.select_for_update().filter(pk__in=set(found.values())).order_by("pk"))
    for part in ImportPart.objects.filter(pk__in=found).order_by("pk"):
        kept = [row for row in part.rows if not _is_about(row, names)]
        if gone := len(part.rows) - len(kept):
            ImportPart.objects.filter(pk=part.pk).update(rows=kept)
            ConsentImport.objects.filter(pk=part.of_id).update(rows=F("rows") - gone)
    return Looked(max(found), is_done=False)


def _is_about(row: Any, names: Collection[str]) -> bool:
    """Say whether a cell is the phone, however it is written, or the BSUID."""
    _line, cells = row
    return any(
        cell.strip() in names or "".join(filter(str.isdigit, cell)) in names for cell in cells
    )
