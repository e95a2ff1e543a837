"""The page of the audit trail: who did what, and why; nobody edits it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import FieldTextFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from orgs import actors, audit, staff, trail
from orgs.admin import showing
from orgs.admin.access import ReadOnly, Scoped
from orgs.admin.keyset import ByKey
from orgs.models import AuditEvent

# Keys grow with time, but for what several machines write at once by clocks that differ.
SLACK = timedelta(minutes=10)
_ENDS = ("from_0", "from_1", "to_0", "to_1")


class _Exact(FieldTextFilter):
    """The whole word, which an index finds; a part of it would be looked for in every row."""

    def __init__(
        self, field: Any, request: HttpRequest, params: dict[str, Any], *rest: Any, field_path: str
    ) -> None:
        given = params.get(f"{field_path}__exact")  # taken out of the parameters by the base class
        super().__init__(field, request, params, *rest, field_path=field_path)
        self.lookup_val = given

    def expected_parameters(self) -> list[str]:
        """Name the parameter of the address."""
        self.lookup_kwarg = f"{self.field_path}__exact"
        return [self.lookup_kwarg]


class _Between(RangeDateTimeFilter):
    """A time in UTC from and until; without a time of day the whole day counts."""

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what lies between; say so when that is no time."""
        bounds = {}
        for end, lookup, whole_day in (("from", "gte", "00:00:00"), ("to", "lte", "23:59:59")):
            day = self.used_parameters.get(f"{self.field_path}_{end}_0")
            clock = self.used_parameters.get(f"{self.field_path}_{end}_1") or whole_day
            if day:
                bounds[lookup] = _moment(f"{day}T{clock}")
        for lookup, moment in bounds.items():
            queryset = queryset.filter(**{f"{self.field_path}__{lookup}": moment})
        return _by_key(queryset, bounds)


def _by_key(rows: QuerySet[Any], bounds: Mapping[str, datetime]) -> QuerySet[Any]:
    """Narrow the keys as far as the times do, so that a list ordered by key begins there.

    Otherwise all that is newer would be read on the way to an old day.
    """
    everything = AuditEvent.objects.values_list("pk", flat=True)
    if "gte" in bounds:
        since = everything.filter(at__gte=bounds["gte"] - SLACK).order_by("at").first()
        rows = rows.none() if since is None else rows.filter(pk__gte=since)
    if "lte" in bounds:
        until = everything.filter(at__lte=bounds["lte"] + SLACK).order_by("-at").first()
        rows = rows.none() if until is None else rows.filter(pk__lte=until)
    return rows


def _moment(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError as error:
        raise IncorrectLookupParameters from error
    if found is None:
        raise IncorrectLookupParameters
    return found.replace(tzinfo=UTC)


@admin.register(AuditEvent)
class AuditEventAdmin(ByKey, ReadOnly, Scoped, ModelAdmin[AuditEvent]):
    """Newest first, by key and with a guess at how many there are: the trail only grows."""

    list_display = ["at", "who", "action", "target", "org", "reason"]
    fields = ["at", "who", "action", "target", "org", "reason", "was", "became"]
    readonly_fields = fields
    when_empty = "What people, keys and commands do is written here as they do it."
    list_filter = [
        "org",
        ("actor", _Exact),
        ("action", _Exact),
        ("target", _Exact),
        ("at", _Between),
    ]
    list_filter_submit = True
    list_select_related = ["org"]
    search_fields = ["target"]
    search_help_text = "Target, exact: message:<id>, api_key:<prefix>, contact:<id> …"
    ordering = ["-id"]
    led_to = frozenset({"org", "actor", "action", "target", *(f"at_{end}" for end in _ENDS)})
    told_by = "at"
    actions_list = ["export_csv"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Add the name of whoever did it."""
        rows: QuerySet[AuditEvent] = super().get_queryset(request)
        return rows.annotate(who=actors.shown("actor"))

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Find by the whole target, as its index has it: letter by letter."""
        term = search_term.strip()
        return (queryset.filter(target=term) if term else queryset), False

    @display(description="Actor")
    def who(self, event: AuditEvent) -> str:
        """Return the name, and what the filter takes where that is another."""
        name = actors.in_words(str(event.who))  # type: ignore[attr-defined]  # annotated
        if name == event.actor:
            return name
        return format_html('{} <span class="console-asof">{}</span>', name, event.actor)

    @display(description="Before")
    def was(self, event: AuditEvent) -> str:
        """Return what was changed, as it was."""
        return showing.facts(event.before)

    @display(description="After")
    def became(self, event: AuditEvent) -> str:
        """Return what it became."""
        return showing.facts(event.after)

    @action(description="Export as CSV", permissions=["export"], url_path="export-csv")
    def export_csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """Hand out what the list shows, with its filters; that somebody did is in the trail too."""
        chosen: QuerySet[AuditEvent] = self.get_changelist_instance(request).get_queryset(request)
        actor = staff.actor(request.user)
        # Not the values: what somebody looked for may be a phone number.
        filtered_by = {"filtered_by": sorted(name for name in request.GET if request.GET[name])}
        audit.record([audit.Entry(None, actor, "audit.exported", "audit:csv", after=filtered_by)])
        return StreamingHttpResponse(
            trail.lines(chosen),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may take the trail out."""
        return bool(request.user.has_perm("orgs.export_auditevent"))
