"""Errors a client can do something about, as RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field; never holds the value."""

    field: str  # dotted path
    code: str
    detail: str


class Problem(Exception):  # noqa: N818 - the standard's own word
    """An expected refusal with a stable code; raised by doors, returned by the core."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        errors: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = list(errors)

    def as_dict(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "type": f"urn:outbound:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": [asdict(error) for error in self.errors],
        }


def invalid(field: str, code: str, detail: str) -> Problem:
    """Return the problem of one wrong field (422)."""
    return Problem(422, "invalid", "Invalid request", detail, [FieldProblem(field, code, detail)])


def field_problems(details: Any, path: str = "") -> list[FieldProblem]:
    """Flatten the full details of a ValidationError into one list with dotted field paths."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [FieldProblem(path or "body", str(details["code"]), str(details["message"]))]
    if isinstance(details, dict):
        items = [(str(name), value) for name, value in details.items()]
    else:
        items = [("", value) for value in details]
    found: list[FieldProblem] = []
    for name, value in items:
        inner = path if name in {"", "non_field_errors"} else f"{path}.{name}".strip(".")
        found += field_problems(value, inner)
    return found
