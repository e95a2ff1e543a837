"""The page of the audit trail."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from orgs.admin.access import ReadOnly, Scoped
from orgs.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, Scoped, ModelAdmin[AuditEvent]):
    """Who did what, and why; nobody edits it."""

    list_display = ["at", "actor", "action", "target", "org", "reason"]
    list_filter = ["action", "org", "at"]
    list_select_related = ["org"]
    search_fields = ["target", "actor"]
    ordering = ["-id"]
    show_full_result_count = False
