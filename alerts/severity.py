"""How bad an incident is."""

from __future__ import annotations

from django.db import models


class Severity(models.TextChoices):
    """Information asks for nothing, a warning for a look today, critical for one now."""

    INFO = "info", "Information"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def rank(severity: str) -> int:
    """Return a number that grows with the severity."""
    return _RANKS[Severity(severity)]


def worse(one: str, other: str) -> Severity:
    """Return the worse of the two."""
    return max(Severity(one), Severity(other), key=rank)
