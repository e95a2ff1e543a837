"""Meta apps, WhatsApp accounts and phone numbers; secrets are written, never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from messaging import connect, holding, stops
from messaging.admin.pausing import Pausable
from messaging.admin.templates import QUALITY_COLOURS
from messaging.models import BusinessAccount, MetaApp, PhoneNumber
from messaging.providers.whatsapp.api import ApiError
from orgs import audit, database, staff
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

    # What Meta said of the token that was typed, by account and token; "": it takes it.
    # None: it is not asked for.
    told: Mapping[tuple[str, str], str] | None = None

    def clean(self) -> dict[str, Any]:
        """Let a new token take the place of the present one only when Meta takes it."""
        typed = self.cleaned_data.get("access_token")
        cleaned = super().clean()
        if typed and self.told is not None and not self.errors:
            tried = (cleaned["waba_id"], typed)
            problem = self.told.get(tried, "It was not tried with Meta. Send the form again.")
            if problem:
                self.add_error("access_token", problem)
        return cleaned


class _Audited(Scoped, ModelAdmin[Any]):
    """Saves leave an audit row with the old and the new values, never a secret's."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save and record who changed what from what, and why if the form asks."""
        super().save_model(request, obj, form, change)
        secret = set(getattr(form, "secret_fields", ()))
        changed = [name for name in form.changed_data if name != "reason"]
        plain = [name for name in changed if name not in secret]
        after = {name: _plain(form.cleaned_data[name]) for name in plain}
        audit.record(
            [
                audit.Entry(
                    org_id=getattr(obj, "org_id", None),
                    actor=staff.actor(request.user),
                    action=f"{self.opts.model_name}.{'changed' if change else 'created'}",
                    target=f"{self.opts.model_name}:{obj.pk}",
                    reason=form.cleaned_data.get("reason", ""),
                    before={name: form.initial.get(name) for name in plain} if change else None,
                    after=after | {name: "replaced" for name in changed if name in secret},
                )
            ]
        )


def _plain(value: Any) -> Any:
    """Return a value of a form as JSON takes it: of a row its key."""
    return value.pk if isinstance(value, Model) else value


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

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Ask Meta about a new token first: Django judges and saves in a transaction."""
        told = self._ask_meta(request, object_id) if request.method == "POST" else {}
        request.told_of_tokens = told  # type: ignore[attr-defined]  # for `get_form`
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Hand the form what Meta has said; the class is made for this request alone."""
        form = super().get_form(request, obj, **kwargs)
        form.told = getattr(request, "told_of_tokens", None)
        return form

    def _ask_meta(self, request: HttpRequest, object_id: str | None) -> dict[tuple[str, str], str]:
        """Return what Meta says of the typed token of a form that is right otherwise."""
        account = self.get_object(request, unquote(object_id)) if object_id else None
        may_change = account is not None and self.has_change_permission(request, account)
        if not (may_change or (object_id is None and self.has_add_permission(request))):
            return {}
        form = self.get_form(request, account, change=account is not None)(
            request.POST, request.FILES, instance=account
        )
        typed = request.POST.get("access_token", "").strip()
        if not typed or not form.is_valid():
            return {}
        waba_id = form.cleaned_data["waba_id"]
        # Meta may take its time; nobody else waits for our connection meanwhile.
        database.release_connection()
        try:
            connect.check_token(waba_id, typed)
        except ApiError as error:
            return {(waba_id, typed): f"Meta refused it: {error}"}
        return {(waba_id, typed): ""}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save; with a new token Meta is asked at once whether it may send again."""
        super().save_model(request, obj, form, change)
        if change and "access_token" in form.changed_data:
            stops.look_soon(obj)

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Numbers refer to it."""
        return False


class PhoneNumberForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """What staff may change of a number, and why: it slows or stops what is sent."""

    reason = forms.CharField(
        required=False,
        max_length=500,
        label="Reason (kept in the audit trail)",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = PhoneNumber
        fields = ["messages_per_second", "is_active"]

    def clean(self) -> dict[str, Any]:
        """Ask why of whoever has changed something."""
        cleaned = super().clean() or {}
        if set(self.changed_data) - {"reason"} and not cleaned.get("reason"):
            self.add_error("reason", "Say why, so that others can follow it later.")
        return cleaned


class PhoneNumberAdmin(Pausable, _Audited):
    """The list of the numbers we send from, with what holds them; the console adds their page."""

    form = PhoneNumberForm
    list_display = ["name", "verified_name", "org", "quality", "messages_per_second"]
    list_filter = ["org", "is_active"]
    list_select_related = ["org", "account__app"]
    search_fields = ["phone_number_id", "display_phone_number"]
    when_empty = "Connect the first number to send from: Meta is asked before it is saved."
    ordering = ["phone_number_id"]

    @display(description="Number", ordering="display_phone_number")
    def name(self, number: PhoneNumber) -> str:
        """Return the number as people write it, or Meta's id until Meta has told."""
        return format_html('<span class="console-nowrap">{}</span>', number)

    @display(description="Quality", label=QUALITY_COLOURS, ordering="quality_rating")
    def quality(self, number: PhoneNumber) -> tuple[str, str]:
        """Return what Meta rates it with."""
        return number.quality_rating, number.quality_rating.capitalize() or "Not rated"

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Add the state, for which the holds are read once per page."""
        active = holds.active(database.now())

        @display(description="State", label=STATE_COLOURS)
        def state(number: PhoneNumber) -> tuple[str, str]:
            return _state(number, active)

        return [*super().get_list_display(request), state]

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Messages refer to it; make it inactive instead."""
        return False


def _state(number: PhoneNumber, active: holding.Active) -> tuple[str, str]:
    if not (number.is_active and number.org.is_active):
        return "held", "Inactive"
    found = holding.on_number(active, number)
    if not found:
        return "sends", "Sends"
    return "held", found[0].get_cause_display()
