"""The pages of periodic tasks: who may switch them, why, and what the trail says of it."""

from __future__ import annotations

import pytest
from celery import current_app
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from kombu.exceptions import OperationalError

from messaging import schedules
from orgs.models import AuditEvent
from orgs.roles import MANAGER
from tests.factories.orgs import staff_user

pytestmark = pytest.mark.django_db

LIST = reverse("admin:django_celery_beat_periodictask_changelist")


@pytest.fixture
def task() -> PeriodicTask:
    schedules.seed()
    return PeriodicTask.objects.get(task="messaging.count_activity")


@pytest.fixture
def viewer(client: Client):
    user = staff_user("view_periodictask", "view_intervalschedule", "view_crontabschedule")
    client.force_login(user)
    return user


@pytest.fixture
def manager(client: Client):
    user = staff_user()
    user.groups.add(Group.objects.get(name=MANAGER))
    client.force_login(user)
    return user


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, dict]]:
    calls: list[tuple[str, dict]] = []
    monkeypatch.setattr(
        current_app, "send_task", lambda name, **options: calls.append((name, options))
    )
    return calls


def act(client: Client, name: str, *tasks: PeriodicTask, **fields: str) -> str:
    chosen = {"action": name, ACTION_CHECKBOX_NAME: [str(task.pk) for task in tasks]}
    return client.post(LIST, {**chosen, **fields}, follow=True).content.decode()


CONFIRMED = {"confirmed": "yes", "reason": "a try"}
OURS = ["enable_selected", "disable_selected", "run_selected"]
# What celery-beat brings along, without any right asked.
BEATS = ["enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks"]


@pytest.mark.parametrize("name", [*OURS, *BEATS])
@pytest.mark.parametrize("on", [True, False])
def test_whoever_may_only_look_switches_and_starts_nothing(client, viewer, task, sent, name, on):
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=on)
    assert name not in client.get(LIST).content.decode()
    act(client, name, task, **CONFIRMED)
    task.refresh_from_db()
    assert task.enabled is on
    assert sent == []
    assert not AuditEvent.objects.filter(target=f"periodictask:{task.pk}").exists()


def test_a_manager_switches_a_task_off_and_on_with_a_reason(client, manager, task):
    html = act(client, "disable_selected", task)
    assert task.name in html
    assert "Reason" in html
    act(client, "disable_selected", task, confirmed="yes", reason="")
    task.refresh_from_db()
    assert task.enabled
    told = PeriodicTasks.last_change()

    assert "1 task(s) disabled" in act(client, "disable_selected", task, **CONFIRMED)
    task.refresh_from_db()
    assert not task.enabled
    assert PeriodicTasks.last_change() > told  # beat reads them anew
    assert "0 task(s) disabled" in act(client, "disable_selected", task, **CONFIRMED)
    assert "1 task(s) enabled" in act(client, "enable_selected", task, **CONFIRMED)

    off, on = AuditEvent.objects.filter(target=f"periodictask:{task.pk}").order_by("pk")
    assert (off.actor, off.action, off.reason) == (
        f"user:{manager.pk}",
        "periodictask.disabled",
        "a try",
    )
    assert (off.before, off.after) == ({"enabled": True}, {"enabled": False})
    assert (on.action, on.before, on.after) == (
        "periodictask.enabled",
        {"enabled": False},
        {"enabled": True},
    )


def test_a_manager_has_a_task_run_now(client, manager, task, sent):
    act(client, "run_selected", task)
    assert sent == []
    assert "1 task(s) will run" in act(client, "run_selected", task, **CONFIRMED)
    ((name, options),) = sent
    assert (name, options["args"], options["kwargs"]) == ("messaging.count_activity", [], {})
    event = AuditEvent.objects.get(target=f"periodictask:{task.pk}")
    assert (event.action, event.reason) == ("periodictask.run", "a try")


def test_a_broker_that_is_away_is_said_and_nothing_is_noted(client, manager, task, monkeypatch):
    def away(*_args, **_options):
        raise OperationalError

    monkeypatch.setattr(current_app, "send_task", away)
    assert "The broker is away" in act(client, "run_selected", task, **CONFIRMED)
    assert not AuditEvent.objects.filter(target=f"periodictask:{task.pk}").exists()


def form_of(client: Client, url: str) -> dict[str, str]:
    form = client.get(url).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {name: value for name, value in values.items() if value not in (None, False)}


def test_a_changed_task_leaves_what_differs(client, manager, task):
    slower = IntervalSchedule.objects.create(every=90, period=IntervalSchedule.SECONDS)
    url = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    before = str(task.interval)
    answer = client.post(url, {**form_of(client, url), "interval": slower.pk})
    assert answer.status_code == 302
    event = AuditEvent.objects.get(target=f"periodictask:{task.pk}")
    assert (event.actor, event.action) == (f"user:{manager.pk}", "periodictask.changed")
    assert event.before == {"interval": before}
    assert event.after == {"interval": "every 90 seconds"}


def test_a_task_added_or_deleted_is_recorded_whole(client, admin_user, task):
    client.force_login(admin_user)
    add = reverse("admin:django_celery_beat_periodictask_add")
    fields = {"name": "Again", "task": "messaging.count_activity", "interval": task.interval_id}
    answer = client.post(add, {**form_of(client, add), **fields})
    assert answer.status_code == 302
    added = PeriodicTask.objects.get(name="Again")
    delete = reverse("admin:django_celery_beat_periodictask_delete", args=[added.pk])
    client.post(delete, {"post": "yes"})
    created, deleted = AuditEvent.objects.filter(target=f"periodictask:{added.pk}").order_by("pk")
    assert created.action == "periodictask.created"
    assert created.after["task"] == "messaging.count_activity"
    assert deleted.action == "periodictask.deleted"
    assert deleted.before["name"] == "Again"


def test_many_tasks_deleted_at_once_leave_a_row_each(client, admin_user, task):
    client.force_login(admin_user)
    chosen = list(PeriodicTask.objects.exclude(pk=task.pk)[:2])
    act(client, "delete_selected", *chosen, post="yes")
    deleted = AuditEvent.objects.filter(action="periodictask.deleted")
    assert {event.target for event in deleted} == {f"periodictask:{each.pk}" for each in chosen}


def test_a_new_period_and_a_new_time_of_day_are_recorded(client, manager):
    url = reverse("admin:django_celery_beat_intervalschedule_add")
    assert client.post(url, {"every": "7", "period": "minutes"}).status_code == 302
    url = reverse("admin:django_celery_beat_crontabschedule_add")
    assert client.post(url, {**form_of(client, url), "minute": "17"}).status_code == 302
    period = AuditEvent.objects.get(action="intervalschedule.created")
    assert period.after == {"every": 7, "period": "minutes"}
    time = AuditEvent.objects.get(action="crontabschedule.created")
    assert time.after["minute"] == "17"
    assert time.target == f"crontabschedule:{CrontabSchedule.objects.get(minute='17').pk}"


def test_a_period_in_use_is_not_deleted_with_its_tasks(client, admin_user, task):
    client.force_login(admin_user)
    name = "admin:django_celery_beat_intervalschedule_delete"
    idle = IntervalSchedule.objects.create(every=91, period=IntervalSchedule.SECONDS)
    assert client.post(reverse(name, args=[idle.pk]), {"post": "yes"}).status_code == 302
    used = reverse(name, args=[task.interval_id])
    assert client.post(used, {"post": "yes"}).status_code == 403
    assert PeriodicTask.objects.filter(pk=task.pk).exists()
    assert AuditEvent.objects.get(action="intervalschedule.deleted").before["every"] == 91
