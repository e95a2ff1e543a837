"""Incidents: what goes on, who is at it, and what was told to whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from alerts import handling
from alerts.checklist import CHECKS
from alerts.models import Alert, AlertQuerySet, Notice
from alerts.severity import Severity
from messaging.admin import confirming
from messaging.operations import Instruction
from orgs import actors, staff
from orgs.admin import showing
from orgs.admin.access import ReadOnly, Scoped, ScopedInline
from orgs.admin.keyset import BoundedPaginator

SEVERITY_COLOURS = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "danger",
}
STATE_COLOURS = {
    "open": "danger",
    "acknowledged": "warning",
    "muted": "warning",
    "resolved": "success",
}
# What happens to some of them, in the order of the page; each with the field that says so.
COURSE = ("last_notified_at", "acknowledged_at", "by", "muted_until", "reopened", "resolved_at")
_HAPPENED = {"by": "acknowledged_by"}
LONGEST_MUTE = timedelta(days=31)

Deed = Callable[[AlertQuerySet, Instruction], int]


class MuteForm(forms.Form):
    """Until when nothing is said, and why."""

    until = forms.DateTimeField(
        label="Until (UTC)",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    reason = forms.CharField(
        max_length=500,
        label="Reason (kept in the audit trail)",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Say why, so that others can follow it later."},
    )

    def clean_until(self) -> datetime:
        """Refuse a time that has passed, or is too far away to be meant."""
        until: datetime = self.cleaned_data["until"]
        if not timezone.now() < until <= timezone.now() + LONGEST_MUTE:
            message = f"Choose a time within the next {LONGEST_MUTE.days} days."
            raise forms.ValidationError(message)
        return until


class StateFilter(admin.SimpleListFilter):
    """Open or resolved."""

    title = "state"
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("open", "Open"), ("resolved", "Resolved")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Keep the chosen ones."""
        if self.value() in {"open", "resolved"}:
            return queryset.filter(resolved_at__isnull=self.value() == "open")
        return queryset


class RuleFilter(admin.SimpleListFilter):
    """The check that found it."""

    title = "check"
    parameter_name = "rule"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Return the checks."""
        return [(check.name, check.title) for check in CHECKS.values()]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Keep those of the chosen one."""
        return queryset.filter(rule=self.value()) if self.value() else queryset


class NoticeInline(ReadOnly, ScopedInline, TabularInline[Notice, Alert]):
    """Who was told of it, and whether it arrived."""

    model = Notice
    ordering = ["-pk"]
    extra = 0
    max_num = 0
    verbose_name_plural = "notices"
    fields = [
        "created_at",
        "kind",
        "outlet",
        "by_route",
        "state",
        "attempts",
        "error",
        "sent_at",
    ]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notice]:
        """Return the notices with their routes."""
        rows: QuerySet[Notice] = super().get_queryset(request)
        # What the installation calls its routes is nobody else's business.
        whole = Value(staff.reaches_all(request.user))
        return rows.select_related("route").annotate(for_all=whole)

    @display(description="Route")
    def by_route(self, notice: Notice) -> str:
        """Return the route's name, as far as it is for this person."""
        if notice.route is None:
            return "of the settings"
        is_theirs = notice.for_all or notice.route.org_id is not None  # type: ignore[attr-defined]  # annotated
        return notice.route.name if is_theirs else "of the installation"


@admin.register(Alert)
class AlertAdmin(ReadOnly, Scoped, ModelAdmin[Alert]):
    """Newest first; incidents of the whole installation are for those who reach all of it."""

    list_display = ["severity_label", "title", "scope", "state", "opened_at", "last_notified_at"]
    list_display_links = ["title"]
    list_filter = [StateFilter, "severity", RuleFilter, "org"]
    list_select_related = ["org"]
    search_fields = ["title", "key"]
    ordering = ["-opened_at"]
    show_full_result_count = False
    paginator = BoundedPaginator
    when_empty = "All is well: no check has found anything yet."
    actions = ["acknowledge_selected", "mute_selected", "unmute_selected"]
    actions_detail = ["acknowledge_one", "mute_one"]
    inlines = [NoticeInline]
    fieldsets = [
        (None, {"fields": ["severity", "state_words", "summary", "advice", "scope", "link"]}),
        ("Figures", {"fields": ["figures_table"]}),
    ]
    readonly_fields = ["state_words", "scope", "link", "figures_table", "by"]

    def get_fieldsets(self, request: HttpRequest, obj: Alert | None = None) -> Any:
        """Tell of its course only what has come to pass."""
        course = ["opened_at", "last_seen_at"]
        if obj is not None:
            course += [name for name in COURSE if getattr(obj, _HAPPENED.get(name, name))]
        return [*super().get_fieldsets(request, obj), ("Course", {"fields": course})]

    @display(description="Acknowledged by")
    def by(self, alert: Alert) -> str:
        """Return who is at it."""
        return actors.names([alert.acknowledged_by])[alert.acknowledged_by]

    @display(description="Severity", label=SEVERITY_COLOURS, ordering="severity")
    def severity_label(self, alert: Alert) -> tuple[str, str]:
        """Return how bad it is."""
        return alert.severity, alert.get_severity_display()

    @display(description="State", label=STATE_COLOURS, ordering="resolved_at")
    def state(self, alert: Alert) -> tuple[str, str]:
        """Return whether it goes on, and whether somebody is at it."""
        return _state(alert)

    @display(description="State")
    def state_words(self, alert: Alert) -> str:
        """Return the same in words."""
        return _state(alert)[1]

    @display(description="Concerns", ordering="org")
    def scope(self, alert: Alert) -> str:
        """Return the organisation, or that it is all of them."""
        return alert.org.org_id if alert.org is not None else "The installation"

    @display(description="Page")
    def link(self, alert: Alert) -> str:
        """Return the link to the page that shows what it is about."""
        if not alert.page:
            return "–"
        return showing.link(alert.page, "Show what it is about")

    @display(description="When last seen")
    def figures_table(self, alert: Alert) -> SafeString:
        """Return the figures and the table of the incident."""
        return render_to_string("admin/alerts/figures.html", {"alert": alert})

    @admin.action(description="Acknowledge", permissions=["handle"])
    def acknowledge_selected(
        self, request: HttpRequest, queryset: AlertQuerySet
    ) -> HttpResponse | None:
        """Say that somebody is at them."""
        explanation = "Nobody is reminded of them any more. Worse news and the end are still told."
        return self._confirm(request, queryset, "acknowledge", explanation, _acknowledge)

    @admin.action(description="Unmute", permissions=["handle"])
    def unmute_selected(self, request: HttpRequest, queryset: AlertQuerySet) -> HttpResponse | None:
        """Let them speak again."""
        explanation = "They are told again from now on."
        return self._confirm(request, queryset, "unmute", explanation, _unmute)

    @admin.action(description="Mute until …", permissions=["handle"])
    def mute_selected(self, request: HttpRequest, queryset: AlertQuerySet) -> HttpResponse | None:
        """Ask for a time and a reason; then say nothing until then."""
        form = MuteForm(
            request.POST if "confirmed" in request.POST else None,
            initial={"until": f"{timezone.now() + timedelta(hours=4):%Y-%m-%dT%H:%M}"},
        )
        if form.is_valid():
            count = handling.mute(
                queryset,
                form.cleaned_data["until"],
                actor=staff.actor(request.user),
                reason=form.cleaned_data["reason"],
            )
            self.message_user(request, f"{count} incident(s) muted.", messages.SUCCESS)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Mute incidents",
            "opts": self.opts,
            "rows": queryset,
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/alerts/mute.html", context)

    @action(description="Acknowledge", permissions=["handle"], url_path="acknowledge")
    def acknowledge_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say that somebody is at it."""
        return self._one(request, object_id, self.acknowledge_selected)

    @action(description="Mute until …", permissions=["handle"], url_path="mute")
    def mute_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say nothing of it until a time."""
        return self._one(request, object_id, self.mute_selected)

    def has_handle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether this person may handle incidents; on a page, whether it goes on."""
        if not request.user.has_perm("alerts.handle_alert"):
            return False
        if object_id is None:
            return True
        found = self.get_object(request, str(object_id))
        return found is not None and found.resolved_at is None

    def _one(
        self,
        request: HttpRequest,
        object_id: str,
        deed: Callable[[HttpRequest, AlertQuerySet], HttpResponse | None],
    ) -> HttpResponse:
        alert = self.row_or_404(request, object_id)
        answer = deed(request, Alert.objects.filter(pk=alert.pk))
        return answer or self.response_post_save_change(request, alert)

    def _confirm(
        self, request: HttpRequest, queryset: AlertQuerySet, verb: str, explanation: str, deed: Deed
    ) -> HttpResponse | None:
        confirmed = confirming.instruction(request)
        if confirmed:
            count = deed(queryset, confirmed)
            self.message_user(request, f"{count} incident(s) {verb}d.", messages.SUCCESS)
            return None
        ids = list(queryset.values_list("pk", flat=True))
        title = f"{verb.capitalize()} {len(ids)} incident(s)"
        return confirming.page(
            self, request, confirming.Plan(verb=verb, title=title, explanation=explanation, ids=ids)
        )


def _acknowledge(alerts: AlertQuerySet, how: Instruction) -> int:
    return handling.acknowledge(alerts, actor=how.actor, reason=how.reason, at=timezone.now())


def _unmute(alerts: AlertQuerySet, how: Instruction) -> int:
    return handling.mute(alerts, None, actor=how.actor, reason=how.reason)


def _state(alert: Alert) -> tuple[str, str]:
    if alert.resolved_at is not None:
        return "resolved", "Resolved"
    if alert.is_muted(timezone.now()):
        return "muted", f"Muted until {alert.muted_until:%d %b %H:%M}"
    if alert.acknowledged_at is not None:
        return "acknowledged", "Acknowledged"
    return "open", "Open"
