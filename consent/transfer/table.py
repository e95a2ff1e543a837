"""The columns of a file of consents, and one row of it as RecordConsentSerializer wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from consent.models import Source

COLUMNS = (
    "phone",
    "bsuid",
    "channel",
    "purpose",
    "status",
    "occurred_at",
    "expires_at",
    "time_zone",
    "proof",
)
# A column of this kind is one entry of the proof, such as proof_text or proof_ip.
PROOF_PREFIX = "proof_"
# Written by the export, for people to read; an import is always from itself.
IGNORED = ("source",)


class HeaderError(ValueError):
    """The first line does not name the columns; the text says what is wrong."""


def columns_of(header: Sequence[str]) -> list[str]:
    """Return the columns the first line names; raise HeaderError when they cannot be read."""
    names = [name.strip().lower() for name in header]
    wrong = [name for name in names if name not in {*COLUMNS, *IGNORED} and not _is_proof(name)]
    if "purpose" not in names or not {"phone", "bsuid"} & set(names):
        message = "The first line must name the columns: purpose, and phone, bsuid or both."
        raise HeaderError(message)
    if wrong or len(set(names)) != len(names):
        message = (
            "Each column must be named once, and be one of "
            f"{', '.join(COLUMNS)} or begin with {PROOF_PREFIX}."
        )
        raise HeaderError(message)
    return names


def values_of(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return the row's values by field; an empty cell is one that was not given.

    Raises ValueError, naming the column, for a row of another length or an unreadable proof.
    """
    if len(cells) != len(columns):
        message = "row"
        raise ValueError(message)
    values: dict[str, Any] = {"source": Source.IMPORT.value}
    proof: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        text = cell.strip()
        if not text or name in IGNORED:
            continue
        if name == "proof":
            proof |= _proof(text)
        elif _is_proof(name):
            proof[name.removeprefix(PROOF_PREFIX)] = text
        elif name in {"status", "channel"}:
            values[name] = text.upper()
        elif name == "purpose":
            values[name] = text.lower()
        else:
            values[name] = text
    return {**values, "proof": proof}


def _is_proof(name: str) -> bool:
    return name.startswith(PROOF_PREFIX) and len(name) > len(PROOF_PREFIX)


def _proof(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = "proof"
        raise ValueError(message)
    return found
