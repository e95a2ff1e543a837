"""The one layer that keeps organisations apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from orgs.models import Organization

_Row = TypeVar("_Row", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[_Row]):
    """Rows that belong to an organisation by their field ``org``."""

    def of(self, org: Organization) -> Self:
        """Keep the rows of one organisation; every door that acts for one goes through here."""
        return self.filter(org=org)
