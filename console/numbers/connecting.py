"""The page that connects a number: everything is tried with Meta before anything is saved."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from messaging.connect import Connection, TakenError, connect
from messaging.models import MetaApp, PhoneNumber
from messaging.providers.whatsapp.api import ApiError
from orgs import staff
from orgs.models import Organization

_digits = RegexValidator(r"^\d{1,32}$", "Meta's ids are digits only.")
_NEEDED = "Needed, because this app is not among yours yet."
_SECRETS = ("app_secret", "verify_token")
_KEPT = "Leave empty if this app is among yours already."


class _IdField(forms.CharField):
    """One of Meta's ids."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=32, validators=[_digits], widget=UnfoldAdminTextInputWidget, **kwargs
        )


class _SecretField(forms.CharField):
    """Written, never shown again, not even after a mistake elsewhere in the form."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
        super().__init__(max_length=1000, widget=widget, **kwargs)


class ConnectForm(forms.Form):
    """What Meta calls the number, and the secrets to reach it with."""

    org = forms.ModelChoiceField(
        Organization.objects.none(), label="Organisation", widget=UnfoldAdminSelectWidget
    )
    phone_number_id = _IdField(
        label="Phone number ID", help_text="Meta's id of the number, not the number itself."
    )
    waba_id = _IdField(label="WhatsApp Business Account ID")
    access_token = _SecretField(
        label="Access token", help_text="Of a system user who may manage and send for the account."
    )
    app_id = _IdField(label="Meta app ID")
    app_secret = _SecretField(
        label="App secret", required=False, help_text=f"Signs the webhooks. {_KEPT}"
    )
    verify_token = _SecretField(
        label="Verify token",
        required=False,
        help_text=f"A word of your choice that you also enter at Meta. {_KEPT}",
    )

    def __init__(
        self,
        *args: Any,
        organisations: QuerySet[Organization],
        apps: QuerySet[MetaApp],
        may_change_apps: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._apps = apps
        self._may_change_apps = may_change_apps
        self.fields["org"].queryset = organisations  # type: ignore[attr-defined]  # the choice field's

    def clean(self) -> dict[str, Any]:
        """Ask for the secrets of an app that is new, or another's; nobody changes one by guessing.

        Left empty they stay what they are when everything is saved, not what they are now.
        """
        data: dict[str, Any] = super().clean() or self.cleaned_data
        app = MetaApp.objects.filter(app_id=data.get("app_id", "")).first()
        if app is None:
            for name in _SECRETS:
                if not data.get(name):
                    self.add_error(name, _NEEDED)
        elif not self._may_change_apps:
            self._prove(app, data)
        return data

    def _prove(self, app: MetaApp, data: dict[str, Any]) -> None:
        """Let somebody use an app of theirs, or one whose secret they know; leave it as it is."""
        is_theirs = self._apps.filter(pk=app.pk).exists()
        if not data.get("app_secret") and not is_theirs:
            self.add_error("app_secret", _NEEDED)
        for name in _SECRETS:
            typed = data.get(name) or ""
            if typed and not constant_time_compare(typed, getattr(app, name)):
                self.add_error(name, "The app is connected, and you may not change it.")
            data[name] = ""

    def connection(self) -> Connection:
        """Return what was asked for; only of a valid form."""
        return Connection(
            **{name: self.cleaned_data[name] for name in self.fields if name != "org"}
        )


def page(model_admin: ModelAdmin[PhoneNumber], request: HttpRequest) -> HttpResponse:
    """Show the form; connect what comes back, or say on the form why not."""
    form = ConnectForm(
        request.POST if request.method == "POST" else None,
        organisations=staff.visible(
            Organization.objects.filter(is_active=True).order_by("org_id"), request.user
        ),
        apps=staff.visible(MetaApp.objects.all(), request.user),
        may_change_apps=staff.reaches_all(request.user)
        and request.user.has_perm("messaging.change_metaapp"),
    )
    if form.is_valid():
        number = _connect(form, actor=staff.actor(request.user))
        if number is not None:
            text = f"{number} is connected: Meta has taken the token. Now set up its webhooks."
            messages.success(request, text)
            return redirect(reverse("admin:messaging_phonenumber_change", args=[number.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Connect a phone number",
        "opts": model_admin.opts,
        "form": form,
        "explanation": "The number and its account are read from Meta with this token first; "
        "when Meta refuses, nothing is saved and you read why.",
        "verb": "Connect",
        "back": reverse("admin:messaging_phonenumber_changelist"),
    }
    return TemplateResponse(request, "console/form.html", context)


def _connect(form: ConnectForm, *, actor: str) -> PhoneNumber | None:
    """Return the number, or None with the reason in the form."""
    try:
        return connect(form.cleaned_data["org"], form.connection(), actor=actor, verify=True)
    except ApiError as error:
        form.add_error("access_token", f"Meta refused: {error}")
    except TakenError as error:
        form.add_error(None, str(error))
    return None
