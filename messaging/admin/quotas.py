"""The console's page of quotas: what is used, raising it, ending a throttle."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from messaging import throttles
from messaging.throttles import Throttle
from orgs import database
from orgs.admin.access import Scoped
from ratelimit import quota
from ratelimit.models import WhatsAppRateLimit
from ratelimit.rules import LARGEST_QUOTA

# Shares from which the bar changes its colour.
WARNING, FULL = 0.8, 1.0
THROTTLE_COLOURS = {"none": "success", "throttled": "danger"}


class ReasonForm(forms.Form):
    """Why it is done, for the audit trail."""

    reason = forms.CharField(
        max_length=500,
        label="Reason (kept in the audit trail)",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Say why, so that others can follow it later."},
    )


class QuotaForm(ReasonForm):
    """A higher quota, with its reason."""

    quota = forms.IntegerField(
        min_value=1,
        max_value=LARGEST_QUOTA,
        label="Messages per window",
        widget=UnfoldAdminIntegerFieldWidget,
    )
    field_order = ["quota", "reason"]


@admin.register(WhatsAppRateLimit)
class WhatsAppRateLimitAdmin(Scoped, ModelAdmin[WhatsAppRateLimit]):
    """What each organisation has used of its quota."""

    list_display = ["org"]
    list_display_links = None
    list_select_related = ["org"]
    search_fields = ["org__org_id", "org__name"]
    ordering = ["-messages_sent", "org"]
    actions = ["raise_quota", "lift_throttle"]
    linked_by = ("org",)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns; the clock and what is held are read once per page."""
        now = database.now()
        held = throttles.by_org(now)

        @display(description="Used")
        def usage(row: WhatsAppRateLimit) -> SafeString:
            return _bar(quota.of_row(row, now))

        @display(description="Throttle", label=THROTTLE_COLOURS)
        def throttle(row: WhatsAppRateLimit) -> tuple[str, str]:
            return _throttle(held.get(row.org_id, set()))

        return [*super().get_list_display(request), usage, "reset_at", throttle]

    @admin.action(description="Raise quota", permissions=["limit"])
    def raise_quota(
        self, request: HttpRequest, queryset: QuerySet[WhatsAppRateLimit]
    ) -> HttpResponse | None:
        """Ask for the new quota and a reason; then set it."""
        form = QuotaForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            text = "Messages that wait for the quota go at once."
            return self._ask(request, queryset, form, "Raise quota", text)
        data = form.cleaned_data
        raised = [
            row
            for row in queryset.select_related("org")
            if quota.of_row(row, database.now()).limit < data["quota"]
        ]
        for row in raised:
            quota.change(row.org, data["quota"], actor=_actor(request), reason=data["reason"])
        self.message_user(request, f"{len(raised)} quota(s) raised.", messages.SUCCESS)
        return None

    @admin.action(description="Lift throttle", permissions=["limit"])
    def lift_throttle(
        self, request: HttpRequest, queryset: QuerySet[WhatsAppRateLimit]
    ) -> HttpResponse | None:
        """Ask for a reason; then let everything go that Meta's rate limits held."""
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            text = "Everything held by Meta's rate limits goes at once; Meta may refuse it again."
            return self._ask(request, queryset, form, "Lift throttle", text)
        lifted = [
            quota.lift_throttle(row.org, actor=_actor(request), reason=form.cleaned_data["reason"])
            for row in queryset.select_related("org")
        ]
        self.message_user(request, f"{sum(lifted)} throttle(s) lifted.", messages.SUCCESS)
        return None

    def has_limit_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may change limits."""
        return bool(request.user.has_perm("ratelimit.change_whatsappratelimit"))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Every organisation has its row."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Quotas change by an action with a reason; counts are the engine's."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Without it the organisation would begin a new window."""
        return False

    def _ask(
        self,
        request: HttpRequest,
        queryset: QuerySet[WhatsAppRateLimit],
        form: forms.Form,
        title: str,
        explanation: str,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "action": request.POST["action"],
            "rows": queryset.select_related("org"),
            "form": form,
            "explanation": explanation,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/ratelimit/change.html", context)


def _bar(status: quota.Status) -> SafeString:
    colour = "bg-primary-600"
    if status.share >= WARNING:
        colour = "bg-red-600" if status.share >= FULL else "bg-orange-500"
    return render_to_string(
        "admin/ratelimit/usage.html",
        {
            "percent": f"{min(100.0, status.share * 100):.1f}",
            "colour": colour,
            "text": f"{status.sent:,} of {status.limit:,}",
        },
    )


def _throttle(held: Set[Throttle]) -> tuple[str, str]:
    if not held:
        return "none", "None"
    texts = [
        f"{each.scope} until {each.until:%d %b %H:%M:%S}" if each.until else each.scope
        for each in sorted(held, key=lambda throttle: throttle.scope)
    ]
    return "throttled", ", ".join(texts)


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
