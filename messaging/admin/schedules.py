"""Django's and celery-beat's own pages in the console's look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat import models as beat
from django_celery_beat.admin import PeriodicTaskAdmin as BeatTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import INPUT_CLASSES, SELECT_CLASSES

from orgs.admin.access import OfInstallation

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
class PeriodicTaskAdmin(OfInstallation, BeatTaskAdmin, ModelAdmin[beat.PeriodicTask]):
    """The periodic tasks: their period can be changed and they can be run now."""

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


@admin.register(beat.IntervalSchedule)
class IntervalScheduleAdmin(OfInstallation, ModelAdmin[beat.IntervalSchedule]):
    """Periods to choose from."""


@admin.register(beat.CrontabSchedule)
class CrontabScheduleAdmin(OfInstallation, ModelAdmin[beat.CrontabSchedule]):
    """Times of day to choose from."""
