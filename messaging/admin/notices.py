"""The timeline of what Meta told of accounts, numbers and templates."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from messaging.models import ProviderNotice
from orgs.admin.access import ReadOnly, Scoped
from orgs.admin.keyset import BoundedPaginator


@admin.register(ProviderNotice)
class ProviderNoticeAdmin(ReadOnly, Scoped, ModelAdmin[ProviderNotice]):
    """Newest first; what each led to stands in the audit trail and among the holds."""

    list_display = ["occurred_at", "what", "subject", "detail", "org"]
    list_filter = ["topic", "org", "account"]
    list_select_related = ["account", "org"]
    when_empty = "What Meta tells of quality, limits, reviews and bans comes by webhook."
    show_full_result_count = False
    paginator = BoundedPaginator
    date_hierarchy = "occurred_at"
    ordering = ["-occurred_at", "-pk"]
    fields = [
        "occurred_at",
        "recorded_at",
        "topic",
        "event",
        "subject",
        "detail",
        "account",
        "org",
    ]

    @display(description="What", ordering="topic")
    def what(self, notice: ProviderNotice) -> str:
        """Return the field and Meta's word, as people read them."""
        return str(notice).capitalize()
