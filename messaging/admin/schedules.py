"""celery-beat's own pages in the console's look, with its rights, reasons and audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django_celery_beat import models as beat
from django_celery_beat.admin import PeriodicTaskAdmin as BeatTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import INPUT_CLASSES, SELECT_CLASSES

from messaging import schedules
from messaging.admin import confirming
from messaging.operations import Instruction
from orgs.admin.access import OfInstallation
from orgs.admin.recording import Recorded

EXPLANATIONS = {
    "enable": "Beat starts them again, each at its own time.",
    "disable": "They no longer run until somebody enables them. What they do stays undone: some "
    "of them keep receipts, retention and alerts going.",
    "run": "A worker runs each of them once, as soon as one is free; their own times stay.",
}

for model in (
    beat.PeriodicTask,
    beat.IntervalSchedule,
    beat.CrontabSchedule,
    beat.SolarSchedule,
    beat.ClockedSchedule,
):
    admin.site.unregister(model)


class TaskForm(PeriodicTaskForm):
    """A periodic task; which of ours it runs is chosen once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, classes in (("regtask", SELECT_CLASSES), ("task", INPUT_CLASSES)):
            if name in self.fields:
                self.fields[name].widget.attrs["class"] = " ".join(classes)
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 2

    def clean(self) -> Any:
        """Ask for a task where one is chosen at all."""
        return super().clean() if "task" in self.fields else self.cleaned_data


@admin.register(beat.PeriodicTask)
class PeriodicTaskAdmin(Recorded, OfInstallation, BeatTaskAdmin, ModelAdmin[beat.PeriodicTask]):
    """The periodic tasks: their period can be changed and they can be run now.

    celery-beat's own actions ask for no right, no reason, and leave no trace: they are not here.
    """

    # The one of celery-beat has a script within the page, which the security policy refuses.
    change_form_template = None
    form = TaskForm
    list_display = ("name", "is_on", "when", "last_run", "description")
    list_filter = ("enabled",)
    date_hierarchy = None
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "regtask", "task", "description", "enabled")}),
        ("When", {"fields": ("interval", "crontab", "last_run")}),
        ("Arguments", {"classes": ("collapse",), "fields": ("args", "kwargs")}),
        ("Delivery", {"classes": ("collapse",), "fields": ("expire_seconds", "queue")}),
    )
    readonly_fields = ("last_run",)
    # What beat notes by itself.
    not_recorded = ("last_run_at", "total_run_count", "date_changed")
    actions = ("enable_selected", "disable_selected", "run_selected")

    def get_fieldsets(self, request: HttpRequest, obj: beat.PeriodicTask | None = None) -> Any:
        """Ask what runs of a new one only."""
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found
        kept = [name for name in found[0][1]["fields"] if name != "regtask"]
        return ((None, {"fields": kept}), *found[1:])

    def get_readonly_fields(
        self, _request: HttpRequest, obj: beat.PeriodicTask | None = None
    ) -> tuple[str, ...]:
        """What runs stays; whoever wants another makes a new one."""
        return (*self.readonly_fields, *(("task",) if obj else ()))

    @admin.action(description="Enable selected", permissions=["change"])
    def enable_selected(
        self, request: HttpRequest, queryset: QuerySet[beat.PeriodicTask]
    ) -> HttpResponse | None:
        """Ask for a reason; then have beat start them again."""
        return self._switch(request, queryset, "enable")

    @admin.action(description="Disable selected", permissions=["change"])
    def disable_selected(
        self, request: HttpRequest, queryset: QuerySet[beat.PeriodicTask]
    ) -> HttpResponse | None:
        """Ask for a reason; then have beat start them no longer."""
        return self._switch(request, queryset, "disable")

    @admin.action(description="Run selected now", permissions=["change"])
    def run_selected(
        self, request: HttpRequest, queryset: QuerySet[beat.PeriodicTask]
    ) -> HttpResponse | None:
        """Ask for a reason; then have a worker run them once."""
        confirmed = confirming.instruction(request)
        if not confirmed:
            return self._ask(request, queryset, "run")
        for task in queryset:
            if not schedules.run_now(task, actor=confirmed.actor, reason=confirmed.reason):
                text = f"The broker is away: “{task.name}” was not handed to a worker."
                self.message_user(request, text, messages.ERROR)
                return None
        self.message_user(request, f"{len(queryset)} task(s) will run.", messages.SUCCESS)
        return None

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[beat.PeriodicTask], verb: str
    ) -> HttpResponse | None:
        confirmed: Instruction | None = confirming.instruction(request)
        if not confirmed:
            return self._ask(request, queryset, verb)
        done = schedules.switch(
            queryset, on=verb == "enable", actor=confirmed.actor, reason=confirmed.reason
        )
        self.message_user(request, f"{done} task(s) {verb}d.", messages.SUCCESS)
        return None

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[beat.PeriodicTask], verb: str
    ) -> HttpResponse:
        chosen = list(queryset)
        names = ", ".join(task.name for task in chosen)
        plan = confirming.Plan(
            verb=verb,
            title=f"{verb.capitalize()} {len(chosen)} periodic task(s)",
            explanation=f"{names}. {EXPLANATIONS[verb]}",
            ids=[task.pk for task in chosen],
        )
        return confirming.page(self, request, plan)

    @display(description="State", label={"on": "success", "off": "warning"}, ordering="enabled")
    def is_on(self, task: beat.PeriodicTask) -> str:
        """Say whether it runs."""
        return "on" if task.enabled else "off"

    @display(description="Last run", ordering="last_run_at")
    def last_run(self, task: beat.PeriodicTask) -> datetime | str:
        """Return when beat last had it run."""
        return task.last_run_at or "not yet"

    @display(description="When")
    def when(self, task: beat.PeriodicTask) -> str:
        """Return the period, or the time of day."""
        return task.crontab.human_readable if task.crontab else str(task.interval or "–")


class _Period(Recorded, OfInstallation):
    """A period or a time of day to choose from."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleting is done one by one, so that none in use is among them."""
        return {}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One in use would take its tasks with it."""
        in_use = obj is not None and obj.periodictask_set.exists()
        return not in_use and super().has_delete_permission(request, obj)


@admin.register(beat.IntervalSchedule)
class IntervalScheduleAdmin(_Period, ModelAdmin[beat.IntervalSchedule]):
    """Periods to choose from."""


@admin.register(beat.CrontabSchedule)
class CrontabScheduleAdmin(_Period, ModelAdmin[beat.CrontabSchedule]):
    """Times of day to choose from."""
