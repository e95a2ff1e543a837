"""Meta apps, WhatsApp accounts and phone numbers; secrets are written, never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget

from messaging import connect, holding, stops
from messaging.admin.pausing import Pausable
from messaging.models import BusinessAccount, MetaApp, PhoneNumber
from messaging.providers.whatsapp.api import ApiError
from orgs import audit, database
from orgs.admin.access import OfInstallation, Scoped
from ratelimit import holds

STATE_COLOURS = {"sends": "success", "held": "danger"}


class _SecretForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """A form whose secret fields stay empty and keep the old value unless filled in."""

    secret_fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.secret_fields:
            if name not in self.fields:
                continue
            optional = self.instance.pk is not None or name.startswith("previous")
            self.fields[name] = forms.CharField(
                widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
                required=not optional,
                help_text="Leave empty to keep the present one." if optional else "",
            )
            self.initial[name] = ""

    def clean(self) -> dict[str, Any]:
        """Keep the stored secret where the field was left empty."""
        cleaned = super().clean() or {}
        for name in self.secret_fields:
            if name in cleaned and not cleaned[name]:
                cleaned[name] = getattr(self.instance, name)
        return cleaned


class MetaAppForm(_SecretForm):
    """A Meta app."""

    secret_fields = ("app_secret", "previous_app_secret", "verify_token")

    class Meta:
        model = MetaApp
        fields = ["app_id", "name", "app_secret", "previous_app_secret", "verify_token", "shared"]


class BusinessAccountForm(_SecretForm):
    """A WhatsApp account."""

    secret_fields = ("access_token",)

    class Meta:
        model = BusinessAccount
        fields = [
            *("org", "app", "waba_id", "name", "portfolio_id", "portfolio_tier"),
            "access_token",
        ]

    def clean(self) -> dict[str, Any]:
        """Try a new token with Meta before it takes the place of the present one."""
        typed = self.cleaned_data.get("access_token")
        cleaned = super().clean()
        if typed and not self.errors:
            try:
                connect.check_token(cleaned["waba_id"], typed)
            except ApiError as error:
                self.add_error("access_token", f"Meta refused it: {error}")
        return cleaned


class _Audited(Scoped, ModelAdmin[Any]):
    """Saves leave an audit row that names the changed fields, never a secret's value."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save and record who changed which fields."""
        super().save_model(request, obj, form, change)
        audit.record(
            [
                audit.Entry(
                    org_id=getattr(obj, "org_id", None),
                    actor=f"user:{request.user.pk}",
                    action=f"{self.opts.model_name}.{'changed' if change else 'created'}",
                    target=f"{self.opts.model_name}:{obj.pk}",
                    reason="",
                    before=None,
                    after={"fields": sorted(form.changed_data)},
                )
            ]
        )


@admin.register(MetaApp)
class MetaAppAdmin(OfInstallation, _Audited):
    """The apps at Meta whose webhooks we trust."""

    form = MetaAppForm
    list_display = ["name", "app_id", "shared", "created_at"]
    search_fields = ["name", "app_id"]

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Deliveries refer to it."""
        return False


@admin.register(BusinessAccount)
class BusinessAccountAdmin(_Audited):
    """WhatsApp accounts and the token they send with."""

    form = BusinessAccountForm
    list_display = ["waba_id", "name", "org", "app", "templates_synced_at", "templates_error"]
    readonly_fields = ["templates_synced_at", "templates_error"]
    list_filter = ["org"]
    list_select_related = ["org", "app"]
    search_fields = ["waba_id", "name"]
    ordering = ["name", "waba_id"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save; with a new token Meta is asked at once whether it may send again."""
        super().save_model(request, obj, form, change)
        if change and "access_token" in form.changed_data:
            stops.look_soon(obj)

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Numbers refer to it."""
        return False


@admin.register(PhoneNumber)
class PhoneNumberAdmin(Pausable, _Audited):
    """Numbers we send from; what holds one stands in the list."""

    list_display = [
        "phone_number_id",
        "display_phone_number",
        "verified_name",
        "org",
        "account",
    ]
    list_filter = ["org", "is_active"]
    list_select_related = ["org", "account__app"]
    search_fields = ["phone_number_id", "display_phone_number"]
    ordering = ["phone_number_id"]
    readonly_fields = ["display_phone_number", "verified_name", "quality_rating", "state"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Add the state, for which the holds are read once per page."""
        active = holds.active(database.now())

        @display(description="State", label=STATE_COLOURS)
        def state(number: PhoneNumber) -> tuple[str, str]:
            return _state(number, active)

        return [*super().get_list_display(request), state]

    @display(description="State", label=STATE_COLOURS)
    def state(self, number: PhoneNumber) -> tuple[str, str]:
        """Return what holds it, or that it sends."""
        return _state(number, holds.active(database.now()))

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Messages refer to it; make it inactive instead."""
        return False


def _state(number: PhoneNumber, active: holding.Active) -> tuple[str, str]:
    if not (number.is_active and number.org.is_active):
        return "held", "Inactive"
    found = holding.on_number(active, number)
    if not found:
        return "sends", "Sends"
    return "held", f"{found[0].get_scope_display()}: {found[0].get_cause_display()}"
