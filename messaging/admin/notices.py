"""The timeline of what Meta told of accounts, numbers and templates."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from messaging.models import ProviderNotice
from orgs.admin.access import ReadOnly, Scoped


@admin.register(ProviderNotice)
class ProviderNoticeAdmin(ReadOnly, Scoped, ModelAdmin[ProviderNotice]):
    """Newest first; what each led to stands in the audit trail and among the holds."""

    list_display = ["occurred_at", "topic", "event", "subject", "detail", "account", "org"]
    list_filter = ["topic", "org", "account"]
    list_select_related = ["account", "org"]
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
