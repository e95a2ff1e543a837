"""The filters of the dead letter queue: parts of the selection that operations take too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import TextFilter

from messaging.admin import message_filters
from messaging.admin.message_filters import Chosen
from messaging.dead_letters.selection import NO_TEMPLATE, Selection
from messaging.models import OutboundMessage

Messages = QuerySet[OutboundMessage]


def _keep(queryset: Messages, name: str, value: str) -> Messages:
    try:
        return queryset.filter(Selection.of({name: value}).condition)
    except ValueError:
        return queryset.none()


class _Part(Chosen):
    """One part of the selection."""

    def keep(self, _request: HttpRequest, queryset: Messages, value: str) -> Messages:
        """Keep what matches this part."""
        return _keep(queryset, self.parameter_name, value)


class ErrorFilter(_Part, message_filters.ErrorFilter):
    """One error code."""


class OrganizationFilter(_Part, message_filters.OrganizationFilter):
    """One organisation."""


class NumberFilter(_Part, message_filters.NumberFilter):
    """One phone number."""


class TemplateFilter(_Part, message_filters.TemplateFilter):
    """One template, or none."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the names of the templates."""
        return [(NO_TEMPLATE, "No template"), *super().lookups(request, model_admin)]


class CategoryFilter(_Part):
    """Meta's category."""

    title = "category"
    parameter_name = "category"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the categories."""
        return OutboundMessage.Category.choices


class CampaignFilter(_Part):
    """Failures, or everyday results of marketing."""

    title = "kind of failure"
    parameter_name = "campaign"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the two kinds."""
        return [("no", "Failures"), ("yes", "Everyday results of campaigns")]


class _Time(TextFilter):
    def queryset(self, _request: HttpRequest, queryset: Messages) -> Messages:
        """Keep what failed then."""
        value = self.value()
        return _keep(queryset, self.parameter_name, value.strip()) if value else queryset


class FailedFromFilter(_Time):
    """Failed since a day or time, UTC."""

    title = "failed from (UTC, YYYY-MM-DD)"
    parameter_name = "failed_from"


class FailedUntilFilter(_Time):
    """Failed before a day or time, UTC."""

    title = "failed before (UTC, YYYY-MM-DD)"
    parameter_name = "failed_until"


ALL: list[Any] = [
    ErrorFilter,
    OrganizationFilter,
    NumberFilter,
    TemplateFilter,
    CategoryFilter,
    CampaignFilter,
    FailedFromFilter,
    FailedUntilFilter,
]
