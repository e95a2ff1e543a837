"""Consents as CSV, row by row: what it writes, an import reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

from django.db.models import QuerySet

from consent.models import Consent
from consent.transfer.table import COLUMNS, IGNORED

# Rows in memory at once.
CHUNK = 2000
HEADER = (*COLUMNS, *IGNORED)


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        """Return the line."""
        return text


def lines(consents: QuerySet[Consent]) -> Iterator[str]:
    """Yield the file line by line, in the order of the rows; the memory stays the same."""
    writer = csv.writer(_Echo())
    yield writer.writerow(HEADER)
    # Who was merged has no name left; their decisions stand under the other contact.
    named = consents.filter(contact__merged_into=None)
    rows = named.select_related("contact").order_by("pk")
    for row in rows.iterator(chunk_size=CHUNK):
        yield writer.writerow(
            [
                row.contact.phone or "",
                row.contact.bsuid or "",
                row.channel,
                row.purpose,
                row.status,
                row.decided_at.isoformat(),
                row.expires_at.isoformat() if row.expires_at else "",
                row.contact.time_zone,
                json.dumps(row.proof, ensure_ascii=False) if row.proof else "",
                row.source,
            ]
        )
