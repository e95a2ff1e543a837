"""What the content of several types has in common: bounded texts, ids and links."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct


class ContentError(Exception):
    """A field of the content is wrong; holds its path and what to do, never the value."""

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.code = code
        self.detail = detail


class Part(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Any object of a message: unknown fields are errors, unset ones are not sent."""


Text20 = Annotated[str, Meta(min_length=1, max_length=20)]
Text24 = Annotated[str, Meta(min_length=1, max_length=24)]
Text60 = Annotated[str, Meta(min_length=1, max_length=60)]
Text72 = Annotated[str, Meta(max_length=72)]
Text256 = Annotated[str, Meta(min_length=1, max_length=256)]
Text1024 = Annotated[str, Meta(min_length=1, max_length=1024)]
Text4096 = Annotated[str, Meta(min_length=1, max_length=4096)]
Id = Annotated[str, Meta(min_length=1, max_length=255)]
HttpsLink = Annotated[str, Meta(pattern=r"^https://[^\s]+$", max_length=2000)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]

_FORBIDDEN = re.compile(r"[\n\r\t]| {5,}")


class Media(Part):
    """A media object: uploaded before (id) or fetched by Meta (link), one of the two."""

    id: Id | None = None
    link: HttpsLink | None = None

    def check(self, path: str) -> None:
        """Raise ContentError unless exactly one of id and link is given."""
        if (self.id is None) == (self.link is None):
            raise ContentError(path, "one_of", "Give either id or link (https), not both.")


def check_parameter_text(path: str, text: str) -> None:
    """Raise ContentError for a text Meta refuses as a template parameter."""
    if not text.strip():
        raise ContentError(path, "required", "A template parameter must not be empty.")
    if _FORBIDDEN.search(text):
        raise ContentError(
            path, "invalid", "No line breaks, tabs or more than four spaces in a row."
        )


def check_unique(path: str, values: list[str], what: str) -> None:
    """Raise ContentError when a value stands twice."""
    if len(set(values)) != len(values):
        raise ContentError(path, "not_unique", f"Each {what} may be used once.")
