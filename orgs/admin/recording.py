"""What people add, change and delete by hand, compared with what was, for the audit trail."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from orgs import audit, staff


class Recorded(ModelAdmin[Any]):
    """Mixed into pages whose additions, changes and deletions leave an audit row each."""

    # Fields that say nothing of what somebody decided.
    not_recorded: tuple[str, ...] = ()

    def snapshot(self, obj: Any) -> dict[str, Any]:
        """Return what is compared, in words and ids; a class with secrets brings its own."""
        return {
            field.name: _plain(getattr(obj, field.name))
            for field in obj._meta.concrete_fields
            if not (field.primary_key or field.name in self.not_recorded)
        }

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Look at what was before, and save."""
        before = type(obj)._default_manager.get(pk=obj.pk) if change else None
        request.before = self.snapshot(before) if before else {}  # type: ignore[attr-defined]  # ours
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Save what hangs on it, such as memberships; then record what differs."""
        super().save_related(request, form, formsets, change)
        before, after = request.before, self.snapshot(form.instance)  # type: ignore[attr-defined]  # ours
        differing = [name for name in after if before.get(name) != after[name]]
        if differing:
            self.record(
                request,
                form.instance,
                "changed" if change else "created",
                before={name: before[name] for name in differing} if change else None,
                after={name: after[name] for name in differing},
            )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Record it as it was, and delete it."""
        self.record(request, obj, "deleted", before=self.snapshot(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        """Delete each, with its audit row."""
        for obj in queryset:
            self.delete_model(request, obj)

    def record(self, request: HttpRequest, obj: Any, what: str, **changes: Any) -> None:
        """Leave an audit row."""
        name = str(self.opts.model_name)
        entry = audit.Entry(
            staff.org_id_of(obj),
            staff.actor(request.user),
            f"{name}.{what}",
            f"{name}:{obj.pk}",
            **changes,
        )
        audit.record([entry])


def _plain(value: Any) -> Any:
    """Return the value as the audit trail can keep it."""
    return value if isinstance(value, str | int | float | None) else str(value)
