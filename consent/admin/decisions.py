"""The page on which staff record what one person decided."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from consent import deciding, ledger
from consent.deciding import Given
from consent.models import Channel, Contact, Decision, Purpose


class DecisionForm(forms.Form):
    """What the person decided, what proves it, and why staff record it."""

    status = forms.ChoiceField(
        label="Decision", choices=Decision.choices, widget=UnfoldAdminSelectWidget
    )
    purpose = forms.ChoiceField(choices=Purpose.choices, widget=UnfoldAdminSelectWidget)
    channel = forms.ChoiceField(
        choices=Channel.choices, initial=Channel.WHATSAPP, widget=UnfoldAdminSelectWidget
    )
    proof = forms.CharField(
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="What proves it, such as the text that was signed; needed for an agreement.",
    )
    occurred_at = forms.SplitDateTimeField(
        label="Decided at (UTC)",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="When the person decided; empty: now.",
    )
    expires_at = forms.SplitDateTimeField(
        label="Holds until (UTC)", required=False, widget=UnfoldAdminSplitDateTimeWidget
    )
    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="Why you record it; kept in the audit trail. No phone numbers, please.",
    )

    def clean_occurred_at(self) -> Any:
        """Refuse the future: such a decision would outlive every later STOP."""
        at = self.cleaned_data["occurred_at"]
        if at and at > timezone.now():
            message = "It lies in the future."
            raise forms.ValidationError(message)
        return at

    def clean(self) -> dict[str, Any]:
        """An agreement needs a proof."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("status") == Decision.GRANTED and not data.get("proof"):
            self.add_error("proof", "An agreement needs a proof.")
        return data

    def given(self) -> Given:
        """Return the decision; only of a valid form."""
        data = self.cleaned_data
        return Given(
            data["channel"],
            data["purpose"],
            Decision(data["status"]),
            data["proof"],
            data["occurred_at"],
            data["expires_at"],
        )


def page(model_admin: ModelAdmin[Contact], request: HttpRequest, contact: Contact) -> HttpResponse:
    """Show the form; record what comes back, or say why not."""
    form = DecisionForm(request.POST if request.method == "POST" else None)
    back = reverse("admin:consent_contact_change", args=[contact.pk])
    if request.method == "POST" and form.is_valid():
        made = deciding.decide(
            contact,
            form.given(),
            actor=f"user:{request.user.pk}",
            reason=form.cleaned_data["reason"],
        )
        if not made.opted_out:
            model_admin.message_user(request, _told(made), messages.SUCCESS)
            return redirect(back)
        form.add_error("proof", ledger.opted_out().detail)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Record a decision of person {contact.pk}",
        "opts": model_admin.opts,
        "form": form,
        "media": model_admin.media + form.media,
        "back": back,
    }
    return TemplateResponse(request, "admin/consent/decide.html", context)


def _told(made: ledger.Recorded) -> str:
    if made.result == ledger.REPEATED:
        return "This decision is in the history already; nothing has changed."
    return f"Recorded. What holds now: {Decision(made.consent.status).label.lower()}."
