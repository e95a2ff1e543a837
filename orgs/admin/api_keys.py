"""The page of API keys: issued here, shown once, revoked here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orgs import keys, staff
from orgs.admin import confirming
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
    """The keys of the organisations' own software."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "org", "scope_names", "last_used_at", "state"]
    list_filter = ["org", "revoked_at"]
    list_select_related = ["org"]
    search_fields = ["name", "prefix"]
    fields = ["org", "name", "prefix", "scope_names", "created_at", "last_used_at", "revoked_at"]
    readonly_fields = ["scope_names"]
    actions = ["revoke_selected"]
    when_empty = "An organisation's own software needs a key to send; issue one."

    def get_fields(self, _request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """A new one has a name and scopes; the hash of its secret is nobody's business."""
        return list(self.fields) if obj else ["org", "name", "scopes"]

    @display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        """Return the scopes in words."""
        return ", ".join(key.scopes)

    @display(description="State", label={"active": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        """Say whether it still opens the door."""
        return "revoked" if key.revoked_at else "active"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        """Issue the key."""
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
        # Only for the answer to this request: no session, cookie or log ever holds it.
        request.issued_secret = secret  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Answer with the secret itself, this one time, on a page nothing keeps."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key issued",
            "opts": self.opts,
            "key": obj,
            "secret": request.issued_secret,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "admin/orgs/key_issued.html", context)

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke_selected(
        self, request: HttpRequest, queryset: QuerySet[ApiKey]
    ) -> HttpResponse | None:
        """Ask for a reason; then make the keys useless."""
        active = list(queryset.filter(revoked_at=None))
        reason = confirming.reason(request)
        if reason:
            for key in active:
                keys.revoke(key, actor=staff.actor(request.user), reason=reason)
            self.message_user(request, f"{len(active)} key(s) revoked.", messages.SUCCESS)
            return None
        plan = confirming.Plan(
            verb="revoke",
            title=f"Revoke {len(active)} API key(s)",
            explanation=f"{', '.join(map(str, active))}. Whoever uses them is refused within "
            "seconds; a revoked key stays revoked.",
            ids=[key.pk for key in active],
        )
        return confirming.page(self, request, plan)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may revoke keys."""
        return bool(request.user.has_perm("orgs.delete_apikey"))

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """A key is issued and revoked, never edited."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """The audit trail refers to it."""
        return False
