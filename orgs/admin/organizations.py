"""The page of organisations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from orgs import audit, staff
from orgs.admin.access import Scoped
from orgs.models import Organization


@admin.register(Organization)
class OrganizationAdmin(Scoped, ModelAdmin[Organization]):
    """The tenants."""

    list_display = ["org_id", "name", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["org_id", "name"]
    ordering = ["org_id"]
    when_empty = "An organisation is who messages are sent for; add the first."

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> list[str]:
        """The public id is what clients know: it stays."""
        return ["org_id"] if obj else []

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: Any) -> None:
        """Save and leave an audit row."""
        before = {name: form.initial.get(name) for name in form.changed_data} if change else None
        super().save_model(request, obj, form, change)
        audit.record(
            [
                audit.Entry(
                    obj.pk,
                    staff.actor(request.user),
                    "org.changed" if change else "org.created",
                    f"org:{obj.org_id}",
                    before=before,
                    after={name: form.cleaned_data.get(name) for name in form.changed_data},
                )
            ]
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A new one would be out of reach for whoever is limited to others."""
        return staff.reaches_all(request.user) and super().has_add_permission(request)

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Its messages and audit trail refer to it; make it inactive instead."""
        return False
