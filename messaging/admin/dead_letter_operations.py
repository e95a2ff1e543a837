"""The page before an operation on all dead letters that match: what would happen, and why."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from messaging import queries
from messaging.dead_letters import bulk, prospects
from messaging.dead_letters.selection import NO_ERROR, NO_TEMPLATE, Selection
from messaging.models import BulkOperation, PhoneNumber
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import database, staff
from orgs.models import Organization

Kind = BulkOperation.Kind

# What became, or would become, of messages; in this order everywhere.
WORDS = {
    "requeued": "requeued",
    "discarded": "discarded",
    "restored": "restored",
    prospects.SEND: "would send",
    prospects.HELD: "would wait, because their number, account or template is on hold",
    prospects.NO_CONSENT: "have no consent, or lost it",
    prospects.EXPIRED: "have expired",
    prospects.WINDOW_CLOSED: "are outside the customer service window",
    prospects.TEMPLATE_ENDED: "use a template that Meta no longer sends",
    prospects.SWITCHED_OFF: "belong to a number or organisation that is switched off",
    "changed": "had changed before their turn came",
}


class ReasonForm(forms.Form):
    """Why it is done, for the audit trail."""

    reason = forms.CharField(
        max_length=500,
        label="Reason (kept in the audit trail)",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Say why, so that others can follow it later."},
    )


class RequeueForm(ReasonForm):
    """Why, and how fast."""

    rate = forms.IntegerField(
        min_value=1,
        max_value=bulk.FASTEST,
        required=False,
        label="At most so many a minute",
        help_text="Empty: as fast as it goes. Quotas and rates of the numbers hold in any case.",
        widget=UnfoldAdminIntegerFieldWidget,
    )


def confirm(model_admin: ModelAdmin[Any], request: HttpRequest, kind: Kind) -> HttpResponse:
    """Show what would happen and ask for a reason; with one, begin and go on to the progress."""
    if not request.user.has_perm("messaging.change_outboundmessage"):
        raise PermissionDenied
    try:
        selection = within_reach(Selection.of(request.GET.dict()), request.user)
    except ValueError:
        return redirect("admin:messaging_deadletter_causes")
    if selection is None:
        model_admin.message_user(request, "Choose an organisation first.", messages.WARNING)
        return redirect("admin:messaging_deadletter_causes")
    given = request.POST if request.method == "POST" else None
    form = RequeueForm(given) if kind == Kind.REQUEUE else ReasonForm(given)
    if form.is_valid():
        instruction = Instruction(
            staff.actor(request.user), Cause.STAFF, form.cleaned_data["reason"]
        )
        try:
            made = bulk.start(kind, selection, instruction, rate=form.cleaned_data.get("rate"))
        except (bulk.TooManyError, Organization.DoesNotExist) as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            return redirect("admin:messaging_bulkoperation_change", made.pk)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{kind.label} all that match",
        "opts": model_admin.opts,
        "kind": kind,
        "form": form,
        "parts": in_words(selection, request.user),
        "back": f"{reverse('admin:messaging_deadletter_changelist')}?{request.GET.urlencode()}",
        "undo_hours": 24,
        **_prospect(kind, selection),
    }
    return TemplateResponse(request, "admin/messaging/dead_letter_confirm.html", context)


def within_reach(selection: Selection, user: staff.User) -> Selection | None:
    """Return the selection within one organisation, for those who do not reach every one.

    None when they have to choose one first. Raises PermissionDenied for another's.
    """
    if staff.reaches_all(user):
        return selection
    theirs = list(staff.visible(Organization.objects.all(), user).values_list("org_id", flat=True))
    if selection.org is not None:
        if selection.org not in theirs:
            raise PermissionDenied
        return selection
    return selection.but(org=theirs[0]) if len(theirs) == 1 else None


def _prospect(kind: Kind, selection: Selection) -> dict[str, Any]:
    if kind != Kind.REQUEUE:
        return {"matched": selection.messages().count()}
    preview = prospects.preview(selection.messages(), database.now())
    return {
        "matched": preview.matched,
        "looked_at": preview.looked_at,
        "counts": told(preview.counts),
    }


def told(counts: dict[str, int]) -> list[tuple[int, str]]:
    """Return counts with words for what they count, in the usual order."""
    return [(counts[name], word) for name, word in WORDS.items() if counts.get(name)]


def in_words(selection: Selection, user: staff.User) -> list[tuple[str, str]]:
    """Return the parts of a selection with their names, for people."""
    parts = selection.as_texts()
    if selection.error is not None:
        parts["error"] = f"{selection.error} · {queries.explain(selection.error)[0]}"
    if selection.error == NO_ERROR:
        parts["error"] = "none"
    if selection.number is not None:
        numbers = staff.visible(PhoneNumber.objects.filter(pk=selection.number), user)
        number = numbers.first()
        parts["number"] = str(number) if number else "unknown"
    if selection.template == NO_TEMPLATE:
        parts["template"] = "none"
    if selection.campaign is not None:
        parts["campaign"] = "only" if selection.campaign else "left out"
    names = {
        "org": "Organisation",
        "error": "Error",
        "template": "Template",
        "number": "Number",
        "category": "Category",
        "campaign": "Everyday results of campaigns",
        "failed_from": "Failed from",
        "failed_until": "Failed before",
    }
    return [(label, parts[name]) for name, label in names.items() if name in parts]
