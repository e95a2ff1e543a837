"""The one layer that keeps organisations apart."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from orgs.models import Organization

_Row = TypeVar("_Row", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[_Row]):
    """Rows that belong to an organisation; those without one belong to the installation."""

    # The way from a row to its organisation.
    org_path: ClassVar[str] = "org"

    def of(self, org: Organization) -> Self:
        """Keep the rows of one organisation; every door that acts for one goes through here."""
        return self.filter(**{self.org_path: org.pk})

    def of_any(self, org_ids: Collection[int]) -> Self:
        """Keep the rows of some organisations; a row without one is never among them."""
        return self.filter(**{f"{self.org_path}__in": org_ids})
