"""What is hidden until somebody asks: one more click, and a row in the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from orgs import audit, staff

LONGEST_SHOWN = 100_000  # characters


class WhyForm(forms.Form):
    """A reason, if there is one to give."""

    reason = forms.CharField(
        required=False,
        max_length=500,
        label="Reason (optional, kept in the audit trail)",
        widget=UnfoldAdminTextInputWidget,
    )


def revealing(
    title: str,
    *,
    permission: str,
    audited_as: str,
    read: Callable[[Any], str],
    draw: Callable[[Any], SafeString | str] = lambda _row: "",
) -> Callable[..., HttpResponse]:
    """Return a detail action that shows a hidden value of one row.

    Assign it in an admin class and name it in ``actions_detail``. GET asks once more; POST leaves
    an audit row and answers with the value, which no cache keeps (as any page of the console).
    ``draw`` returns the same as a picture, if there is one to show above it.
    ``permission`` names a method of the class: ``unmask`` asks ``has_unmask_permission``. Rows out
    of reach are not found.
    """

    @action(description=title, permissions=[permission], url_path=audited_as.replace(".", "-"))
    def show(model_admin: ModelAdmin[Any], request: HttpRequest, object_id: str) -> HttpResponse:
        row = model_admin.get_object(request, object_id)
        if row is None or not model_admin.has_view_permission(request, row):
            raise Http404
        opts = model_admin.opts
        form = WhyForm(request.POST or None)
        context = {
            **model_admin.admin_site.each_context(request),
            "title": title,
            "subtitle": str(row),
            "opts": opts,
            "form": form,
            "back": reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk]),
        }
        if request.method == "POST" and form.is_valid():
            context["value"] = read(row)[:LONGEST_SHOWN] or "–"
            context["drawn"] = draw(row)
            entry = audit.Entry(
                staff.org_id_of(row),
                staff.actor(request.user),
                audited_as,
                f"{opts.model_name}:{row.pk}",
                form.cleaned_data["reason"],
            )
            audit.record([entry])
        return TemplateResponse(request, "admin/orgs/reveal.html", context)

    made: Callable[..., HttpResponse] = show
    return made
