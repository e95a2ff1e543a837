"""Routes: who is told of which incidents; secrets are written, never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from alerts import routing, testing
from alerts.admin.incidents import SEVERITY_COLOURS
from alerts.models import Notice, Route
from alerts.outlets import email, http, webhook
from orgs import audit, staff
from orgs.admin.access import Scoped

SECRETS = ("url", "signing_secret")
Outlet = Route.Outlet


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's form takes no argument at run time
    """A route; what its outlet needs is asked for, and secrets stay unless written anew."""

    class Meta:
        model = Route
        fields = [
            *("name", "org", "least_severity", "outlet", "recipients", "url", "signing_secret"),
            *("daily_report", "is_active"),
        ]
        widgets = {"recipients": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in SECRETS:
            field = self._meta.model._meta.get_field(name)
            has_one = bool(getattr(self.instance, name))
            self.fields[name] = forms.CharField(
                label=capfirst(field.verbose_name),
                required=False,
                widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
                help_text=f"{field.help_text}"
                f"{' Leave empty to keep the present one.' if has_one else ''}",
            )
            self.initial[name] = ""

    def clean(self) -> dict[str, Any]:
        """Keep secrets left empty; ask for what the outlet needs."""
        cleaned = super().clean() or {}
        for name in SECRETS:
            cleaned[name] = cleaned.get(name) or getattr(self.instance, name)
        outlet = cleaned.get("outlet")
        if outlet == Outlet.EMAIL:
            self._check_recipients(cleaned.get("recipients", ""))
        elif outlet:
            self._check_url(cleaned["url"], only=http.SLACK_HOST if outlet == Outlet.SLACK else "")
        if outlet == Outlet.WEBHOOK:
            self._check_secret(cleaned["signing_secret"])
        if cleaned.get("daily_report") and outlet != Outlet.EMAIL:
            self.add_error("daily_report", "The report goes by e-mail only.")
        return cleaned

    def _check_recipients(self, text: str) -> None:
        found = routing.addresses(text)
        if not email.can_send():
            self.add_error("outlet", "No mail server is set: EMAIL_URL.")
        if not found:
            self.add_error("recipients", "Enter at least one address.")
        for address in found:
            try:
                validate_email(address)
            except ValidationError:
                self.add_error("recipients", f"{address} is no e-mail address.")

    def _check_url(self, url: str, *, only: str) -> None:
        problem = http.problem_of(url, only=only) if url else "Enter the URL."
        if problem:
            self.add_error("url", problem)

    def _check_secret(self, secret: str) -> None:
        if not secret:
            self.add_error("signing_secret", "Copy it from the receiver, or make one.")
        elif not webhook.is_secret(secret):
            self.add_error("signing_secret", "It must be whsec_ and 24 to 64 bytes as base64.")


@admin.register(Route)
class RouteAdmin(Scoped, ModelAdmin[Route]):
    """Who is told; people limited to some organisations see and make routes of those."""

    form = RouteForm
    list_display = ["name", "outlet", "scope", "severity_label", "daily_report", "is_active"]
    list_filter = ["outlet", "org", "is_active"]
    list_select_related = ["org"]
    search_fields = ["name"]
    ordering = ["name", "pk"]
    when_empty = (
        "A route tells people of incidents by e-mail, Slack or webhook. Without one only the "
        "recipients of the settings are told."
    )
    actions = ["test_selected"]
    actions_list = ["test_all"]

    @display(description="Told of")
    def scope(self, route: Route) -> str:
        """Return the organisation, or that it is all of them."""
        return route.org.org_id if route.org is not None else "All incidents"

    @display(description="From", label=SEVERITY_COLOURS, ordering="least_severity")
    def severity_label(self, route: Route) -> tuple[str, str]:
        """Return the least severity."""
        return route.least_severity, route.get_least_severity_display()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Whoever is limited to some organisations makes no route for all incidents."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and not staff.reaches_all(request.user):
            field.required = True
        return field

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: Any) -> None:
        """Save, with an audit row that names the changed fields and no value."""
        super().save_model(request, obj, form, change)
        self._record(request, obj, "changed" if change else "created", sorted(form.changed_data))

    def delete_model(self, request: HttpRequest, obj: Route) -> None:
        """Delete, with an audit row."""
        self._record(request, obj, "deleted", [])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Route]) -> None:
        """Delete each, with its audit row."""
        for route in queryset:
            self.delete_model(request, route)

    @admin.action(description="Send a test alert", permissions=["test"])
    def test_selected(self, request: HttpRequest, queryset: QuerySet[Route]) -> None:
        """Send a test by the chosen routes, and say whether it arrived."""
        self._test(request, queryset, with_settings=False)

    @action(description="Send test alert", permissions=["test"], url_path="test")
    def test_all(self, request: HttpRequest) -> HttpResponse:
        """Ask; then send a test by every active route in reach, and by the settings' outlets."""
        routes = self.get_queryset(request).filter(is_active=True)
        with_settings = staff.reaches_all(request.user)
        if request.method == "POST":
            self._test(request, routes, with_settings=with_settings)
            return redirect(reverse("admin:alerts_route_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Send a test alert",
            "opts": self.opts,
            "routes": routes,
            "of_settings": routing.of_settings() if with_settings else [],
        }
        return TemplateResponse(request, "admin/alerts/test.html", context)

    def has_test_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may have tests sent."""
        return bool(request.user.has_perm("alerts.change_route"))

    def _test(self, request: HttpRequest, routes: QuerySet[Route], *, with_settings: bool) -> None:
        sent = testing.send_test(routes, with_settings=with_settings)
        for notice in sent:
            if notice.route is not None:
                self._record(request, notice.route, "tested", [])
        if not sent:
            text = "Nobody would be told: make a route, or set recipients in the environment."
            self.message_user(request, text, messages.WARNING)
        for notice in sent:
            level = messages.SUCCESS if notice.state == Notice.State.SENT else messages.ERROR
            self.message_user(request, testing.told(notice), level)

    def _record(self, request: HttpRequest, route: Route, deed: str, fields: list[str]) -> None:
        audit.record(
            [
                audit.Entry(
                    org_id=route.org_id,
                    actor=staff.actor(request.user),
                    action=f"route.{deed}",
                    target=f"route:{route.pk}",
                    after={"name": route.name, "outlet": route.outlet, "fields": fields},
                )
            ]
        )
