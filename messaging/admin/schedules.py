"""Django's and celery-beat's own pages in the console's look."""

from __future__ import annotations

from django.contrib import admin
from django_celery_beat import models as beat
from django_celery_beat.admin import PeriodicTaskAdmin as BeatTaskAdmin
from unfold.admin import ModelAdmin

from orgs.admin.access import OfInstallation

for model in (
    beat.PeriodicTask,
    beat.IntervalSchedule,
    beat.CrontabSchedule,
    beat.SolarSchedule,
    beat.ClockedSchedule,
):
    admin.site.unregister(model)


@admin.register(beat.PeriodicTask)
class PeriodicTaskAdmin(OfInstallation, BeatTaskAdmin, ModelAdmin[beat.PeriodicTask]):
    """The periodic tasks: their period can be changed and they can be run now."""

    # The one of celery-beat has a script within the page, which the security policy refuses.
    change_form_template = None


@admin.register(beat.IntervalSchedule)
class IntervalScheduleAdmin(OfInstallation, ModelAdmin[beat.IntervalSchedule]):
    """Periods to choose from."""


@admin.register(beat.CrontabSchedule)
class CrontabScheduleAdmin(OfInstallation, ModelAdmin[beat.CrontabSchedule]):
    """Times of day to choose from."""
