"""The page of API keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orgs import keys, staff
from orgs.admin.access import Scoped
from orgs.models import SCOPES, ApiKey


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
class ApiKeyAdmin(Scoped, ModelAdmin[ApiKey]):
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
            actor=staff.actor(request.user),
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
            keys.revoke(key, actor=staff.actor(request.user), reason="Revoked in the console.")
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
