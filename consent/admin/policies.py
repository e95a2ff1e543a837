"""How each organisation hears STOP and START, and its quiet hours."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from consent import quiet, words
from consent.models import ConsentPolicy
from orgs import audit, database
from orgs.admin.access import Scoped

_LISTS = {
    "stop_words": words.STOP,
    "start_words": words.START,
    "opt_out_payloads": words.PAYLOADS,
}


class OnePerLine(forms.CharField):
    """A list of words, one a line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        """Return the lines of a list."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the words, each once, in their order."""
        lines = str(super().to_python(value) or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def validate(self, value: Any) -> None:
        """Refuse what is too long to be a command."""
        super().validate(value)
        for word in value:
            if not words.normalise(word):
                message = f"Not usable as a command (1 to {words.LONGEST} characters): {word[:40]}"
                raise forms.ValidationError(message)


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """The policy with its lists as lines."""

    stop_words = OnePerLine(required=False)
    start_words = OnePerLine(required=False)
    opt_out_payloads = OnePerLine(required=False)

    class Meta:
        model = ConsentPolicy
        widgets = {
            name: UnfoldAdminTextareaWidget(attrs={"rows": 3})
            for name in ("stop_confirmation", "start_confirmation")
        }
        exclude = ["hours_changed_at"]  # noqa: DJ006 - everything else is for people

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, default in _LISTS.items():
            if name in self.fields:
                self.fields[
                    name
                ].help_text = f"One a line; empty: {', '.join(default[:6])} … in 12 languages."
        if "opt_out_payloads" in self.fields:
            self.fields["opt_out_payloads"].help_text = (
                "Payloads or titles of template buttons, one a line; empty: "
                f"{', '.join(words.PAYLOADS)}. The stop words count too."
            )

    def clean_time_zone(self) -> str:
        """Refuse a zone nobody knows."""
        name = str(self.cleaned_data["time_zone"])
        if name not in quiet.known_zones():
            message = "No such time zone; such as Europe/Paris."
            raise forms.ValidationError(message)
        return name

    def clean(self) -> dict[str, Any]:
        """Quiet hours have two ends."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if (data.get("quiet_from") is None) != (data.get("quiet_until") is None):
            self.add_error("quiet_until", "Give both times or neither.")
        elif data.get("quiet_from") is not None and data["quiet_from"] == data["quiet_until"]:
            self.add_error("quiet_until", "Give two different times; marketing needs an hour.")
        return data


@admin.register(ConsentPolicy)
class ConsentPolicyAdmin(Scoped, ModelAdmin[ConsentPolicy]):
    """One row for each organisation that wants other rules than the default."""

    form = PolicyForm
    list_display = ["org", "stop_scope", "button_scope", "quiet_from", "quiet_until", "time_zone"]
    list_select_related = ["org"]
    when_empty = (
        "Every organisation follows the default: the usual words stop everything, an opt-out "
        "button stops marketing, and there are no quiet hours. Add rules for one that differs."
    )
    fieldsets = [
        (None, {"fields": ["org"]}),
        (
            "STOP and START",
            {
                "fields": [
                    "stop_words",
                    "stop_scope",
                    "opt_out_payloads",
                    "button_scope",
                    "start_words",
                    "stop_confirmation",
                    "start_confirmation",
                ]
            },
        ),
        ("Quiet hours", {"fields": ["quiet_from", "quiet_until", "time_zone"]}),
    ]

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> list[str]:
        """A policy stays with its organisation."""
        return ["org"] if obj else []

    def save_model(self, request: HttpRequest, obj: ConsentPolicy, form: Any, change: Any) -> None:
        """Save and leave an audit row."""
        before = {name: form.initial.get(name) for name in form.changed_data} if change else None
        if {"quiet_from", "quiet_until", "time_zone"} & set(form.changed_data):
            obj.hours_changed_at = database.now()
        super().save_model(request, obj, form, change)
        after = {name: form.cleaned_data.get(name) for name in form.changed_data if name != "org"}
        audit.record(
            [
                audit.Entry(
                    obj.org_id,
                    f"user:{request.user.pk}",
                    "consent_policy.changed" if change else "consent_policy.created",
                    f"consent_policy:{obj.pk}",
                    before=before and _plain(before),
                    after=_plain(after),
                )
            ]
        )

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Emptied fields mean the default; the row stays."""
        return False


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the audit trail can keep them."""
    simple = (str, list, int, type(None))
    return {
        name: value if isinstance(value, simple) else str(value) for name, value in values.items()
    }
