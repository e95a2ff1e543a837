"""G19: an incident fires once, reminds, worsens, resolves, and hears staff."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from alerts import checking, handling, metrics
from alerts.checklist import CHECKS, Check
from alerts.models import Alert, CheckRun, Notice, Route
from alerts.rules.base import Finding
from alerts.severity import Severity
from orgs import database
from orgs.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.core]


class World:
    """A check whose findings and clock a test sets."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.now = timezone.now()

    def check(self, *findings: Finding, after: int = 0) -> list[str]:
        """Look again after so many minutes; return the kinds of the new notices."""
        self.findings = list(findings)
        self.now += timedelta(minutes=after, seconds=1)
        before = Notice.objects.count()
        checking.run(["world"])
        return [notice.kind for notice in Notice.objects.order_by("pk")[before:]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    check = Check("world", "World", lambda _limits, _at: None, lambda *_args: made.findings)
    monkeypatch.setitem(CHECKS, "world", check)
    monkeypatch.setattr(database, "now", lambda: made.now)
    return made


def trouble(size: float = 10, severity: Severity = Severity.WARNING, **more) -> Finding:
    return Finding(severity=severity, title="Trouble", summary="There is.", size=size, **more)


def test_it_is_told_once_however_often_it_is_seen(world):
    assert world.check(trouble()) == ["opened"]
    assert world.check(trouble(12), after=5) == []
    assert world.check(trouble(14), after=5) == []
    assert Alert.objects.get().size == 14


def test_it_is_told_again_after_the_cool_down(world):
    world.check(trouble())
    assert world.check(trouble(), after=59) == []
    assert world.check(trouble(), after=2) == ["reminder"]
    assert world.check(trouble(), after=30) == []


def test_it_is_told_at_once_when_it_becomes_graver_or_doubles(world):
    world.check(trouble(10))
    assert world.check(trouble(11, Severity.CRITICAL), after=1) == ["worse"]
    assert world.check(trouble(21), after=1) == []
    assert world.check(trouble(22), after=1) == ["worse"]
    assert Alert.objects.get().severity == Severity.CRITICAL


def test_it_resolves_by_itself_and_says_so_once(world):
    world.check(trouble())
    assert world.check(after=5) == ["resolved"]
    assert world.check(after=5) == []
    assert Alert.objects.get().resolved_at is not None


def test_one_that_comes_and_goes_is_told_when_it_first_comes_back_and_then_after_the_cool_down(
    world,
):
    world.check(trouble())
    world.check(after=5)
    assert world.check(trouble(), after=5) == ["again"]
    assert world.check(after=5) == ["resolved"]
    for _ in range(3):
        assert world.check(trouble(), after=5) == []
        assert world.check(after=5) == []
    assert world.check(trouble(), after=30) == ["again"]
    assert Alert.objects.count() == 1


def test_one_that_comes_back_after_the_cool_down_is_another(world):
    world.check(trouble())
    world.check(after=5)
    assert world.check(trouble(), after=61) == ["opened"]
    assert Alert.objects.count() == 2


def test_what_has_happened_has_no_reminder_and_no_end(world):
    assert world.check(trouble(is_event=True)) == ["opened"]
    assert world.check(trouble(is_event=True), after=120) == []
    assert world.check(after=5) == []
    assert not Alert.objects.open().exists()


def test_nobody_is_reminded_of_what_somebody_is_at_but_its_end_is_told(world):
    world.check(trouble())
    handling.acknowledge(Alert.objects.all(), actor="user:1", reason="On it", at=world.now)
    assert world.check(trouble(), after=120) == []
    assert world.check(trouble(100), after=5) == ["worse"]
    assert world.check(after=5) == ["resolved"]
    assert AuditEvent.objects.get(action="alert.acknowledged").reason == "On it"


def test_a_muted_one_says_nothing_until_then(world):
    world.check(trouble())
    until = world.now + timedelta(hours=3)
    handling.mute(Alert.objects.all(), until, actor="user:1", reason="Known")
    assert world.check(trouble(100, Severity.CRITICAL), after=120) == []
    assert world.check(trouble(100, Severity.CRITICAL), after=61) == ["worse"]


def test_what_a_muted_one_does_not_say_is_not_counted(world, monkeypatch):
    monkeypatch.setitem(metrics._OF_RULE, "world", metrics.DEAD_LETTERS)
    world.check(trouble(labels=((),)))
    until = world.now + timedelta(hours=3)
    handling.mute(Alert.objects.all(), until, actor="user:1", reason="Known")
    for _ in range(3):
        world.check(trouble(100, labels=((),)), after=5)
    assert metrics.DEAD_LETTERS.value() == 1


def test_the_end_of_a_muted_one_is_told_when_the_silence_ends(world):
    world.check(trouble())
    handling.mute(
        Alert.objects.all(), world.now + timedelta(hours=3), actor="user:1", reason="Known"
    )
    assert world.check(after=5) == []
    assert world.check(after=60) == []
    assert world.check(after=120) == ["resolved"]
    assert world.check(after=5) == []


def test_figures_of_an_earlier_moment_change_nothing(world):
    world.check(trouble())
    world.now -= timedelta(seconds=30)
    checking.run(["world"])
    assert Notice.objects.count() == 1


def test_a_check_that_breaks_keeps_no_other_from_running(world, monkeypatch):
    def broken(*_args: object) -> list[Finding]:
        raise ValueError("a secret +12025550123")

    monkeypatch.setitem(CHECKS, "broken", Check("broken", "Broken", lambda *_: None, broken))
    world.findings = [trouble()]
    results = checking.run(["broken", "world"])
    assert [result.found for result in results] == [0, 1]
    assert CheckRun.objects.get(name="broken").error == "ValueError"


def test_nothing_is_checked_when_alerts_are_off(world, settings):
    settings.OUTBOUND_ALERT_ENABLED = False
    assert world.check(trouble()) == []


class TestRoutes:
    @pytest.fixture(autouse=True)
    def _only_routes(self, settings) -> None:
        settings.OUTBOUND_ALERT_EMAIL_RECIPIENTS = []

    def test_each_is_told_of_its_severities_and_its_organization(self, world, org, other_org):
        everything = Route.objects.create(name="all", outlet="email", least_severity="info")
        Route.objects.create(name="grave", outlet="email", least_severity="critical")
        acme = Route.objects.create(name="acme", outlet="slack", org=org)
        Route.objects.create(name="globex", outlet="slack", org=other_org)
        Route.objects.create(name="off", outlet="email", is_active=False)
        world.check(trouble(org="acme"))
        told = Notice.objects.values_list("route", flat=True)
        assert set(told) == {everything.pk, acme.pk}

    def test_a_part_is_told_to_the_organization_only(self, world, org):
        whole = Route.objects.create(name="all", outlet="email")
        acme = Route.objects.create(name="acme", outlet="email", org=org)
        world.check(trouble(), trouble(key="acme", org="acme", is_part=True))
        told = Notice.objects.order_by("pk").values_list("route", "alert__key")
        assert set(told) == {(whole.pk, ""), (acme.pk, "acme")}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_that_check_at_once_send_one_notice(world, monkeypatch):
    monkeypatch.undo()
    barrier = threading.Barrier(4)

    def read(*_args: object) -> None:
        barrier.wait(10)  # all have read the same figures before one of them judges

    found = Check("world", "World", read, lambda *_args: [trouble(), trouble(key="b")])
    monkeypatch.setitem(CHECKS, "world", found)
    monkeypatch.setattr("alerts.delivery.wake.on_commit", lambda _task: None)

    def run() -> None:
        try:
            checking.run(["world"])
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Alert.objects.count() == 2
    assert Notice.objects.count() == 2
