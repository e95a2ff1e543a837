"""Taking what is personal or secret out of texts of the provider before they are kept."""

from __future__ import annotations

import re

_MASKS = (
    (re.compile(r"\+?\d(?:[\s().-]?\d){6,}"), "[number]"),
    (re.compile(r"EAA[A-Za-z0-9]{8,}"), "[token]"),
    (re.compile(r"(?i)bearer\s+\S+"), "Bearer [token]"),
)


def redact(text: str, longest: int) -> str:
    """Return the start of the text without phone numbers, tokens and NUL characters."""
    # What is cut off is cut first: a pattern must not run over megabytes.
    text = text[: longest * 2].replace("\x00", "")
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text[:longest]
