"""The console's pages for organisations, keys, people who log in, and the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orgs import audit, keys
from orgs.models import SCOPES, ApiKey, AuditEvent, Organization

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin[User]):
    """People who may log in to the console."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin[Group]):
    """Sets of rights."""


@admin.register(Organization)
class OrganizationAdmin(ModelAdmin[Organization]):
    """The tenants."""

    list_display = ["org_id", "name", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["org_id", "name"]

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
                    f"user:{request.user.pk}",
                    "org.changed" if change else "org.created",
                    f"org:{obj.org_id}",
                    before=before,
                    after={name: form.cleaned_data.get(name) for name in form.changed_data},
                )
            ]
        )

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Its messages and audit trail refer to it; make it inactive instead."""
        return False


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """What is chosen when a key is issued."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=["send", "read"],
    )

    class Meta:
        model = ApiKey
        fields = ["org", "name", "scopes"]


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin[ApiKey]):
    """Keys: issued here, shown once, revoked here."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "org", "scope_names", "last_used_at", "state"]
    list_filter = ["org", "revoked_at"]
    list_select_related = ["org"]
    search_fields = ["name", "prefix"]
    actions = ["revoke_selected"]

    @display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        """Return the scopes in words."""
        return ", ".join(key.scopes)

    @display(description="State", label={"active": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        """Say whether it still opens the door."""
        return "revoked" if key.revoked_at else "active"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        """Issue the key and show it this one time."""
        del change
        data = form.cleaned_data
        key, secret = keys.issue(
            data["org"],
            name=data["name"],
            scopes=data["scopes"],
            actor=f"user:{request.user.pk}",
        )
        obj.pk = key.pk
        obj.refresh_from_db()
        self.message_user(
            request, f"Copy this key now, it is not shown again: {secret}", messages.WARNING
        )

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Make the keys useless."""
        active = list(queryset.filter(revoked_at=None))
        for key in active:
            keys.revoke(key, actor=f"user:{request.user.pk}", reason="Revoked in the console.")
        self.message_user(request, f"{len(active)} key(s) revoked.", messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may revoke keys."""
        return bool(request.user.has_perm("orgs.delete_apikey"))

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """A key is issued and revoked, never edited."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """The audit trail refers to it."""
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ModelAdmin[AuditEvent]):
    """Who did what, and why; nobody edits it."""

    list_display = ["at", "actor", "action", "target", "org", "reason"]
    list_filter = ["action", "org", "at"]
    list_select_related = ["org"]
    search_fields = ["target", "actor"]
    ordering = ["-id"]
    show_full_result_count = False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Only deeds write it."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """It is append-only."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """It is append-only."""
        return False
