"""The console's pages of alerts: who sees what, and what staff do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts import checking
from alerts.models import Alert, CheckRun, Notice, Route
from messaging.states import Status
from orgs.models import AuditEvent, Membership
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

ALERTS, ROUTES, CHECKS = (
    reverse(f"admin:alerts_{name}_changelist") for name in ("alert", "route", "checkrun")
)
REPORT = reverse("alerts:dlq-report")
MAIL = {
    "name": "Night shift",
    "outlet": "email",
    "least_severity": "warning",
    "recipients": "ops@example.org",
    "is_active": "on",
}


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def bob(client: Client, org) -> User:
    """Limited to acme, with every right of the app."""
    user = User.objects.create_user("bob", password="x", is_staff=True)
    names = ["view_outboundmessage"]
    rights = Permission.objects.filter(content_type__app_label="alerts")
    user.user_permissions.add(*rights, *Permission.objects.filter(codename__in=names))
    Membership.objects.create(user=user, org=org)
    client.force_login(user)
    return user


def incident(title: str, org=None, **fields) -> Alert:
    now = timezone.now()
    return Alert.objects.create(
        rule="stuck",
        key=title,
        org=org,
        severity="warning",
        title=title,
        summary="There is.",
        figures=[["Stuck", "3"]],
        opened_at=now,
        last_seen_at=now,
        **fields,
    )


def act(client: Client, url: str, name: str, *rows, **fields: str):
    chosen = {"action": name, ACTION_CHECKBOX_NAME: [str(row.pk) for row in rows]}
    return client.post(url, {**chosen, **fields}, follow=True)


class TestIncidents:
    def test_staff_acknowledge_with_a_reason(self, client, boss):
        alert = incident("Trouble")
        assert "Reason" in act(client, ALERTS, "acknowledge_selected", alert).content.decode()
        confirmed = {"confirmed": "yes", "reason": "On it"}
        act(client, ALERTS, "acknowledge_selected", alert, **confirmed)
        alert.refresh_from_db()
        assert alert.acknowledged_by == f"user:{boss.pk}"
        assert AuditEvent.objects.get(action="alert.acknowledged").target == f"alert:{alert.pk}"
        assert "Acknowledged" in client.get(ALERTS).content.decode()

    def test_what_the_installation_calls_its_routes_is_not_for_everybody(self, client, bob, org):
        alert = incident("Trouble", org)
        for name, of in (("Whole house", None), ("Our chat", org)):
            Notice.objects.create(
                alert=alert,
                org=org,
                route=Route.objects.create(name=name, outlet="email", org=of),
                outlet="email",
                kind="opened",
                severity="warning",
                content={},
                next_try_at=timezone.now(),
                created_at=timezone.now(),
            )
        page = reverse("admin:alerts_alert_change", args=[alert.pk])
        text = client.get(page).content.decode()
        assert "Our chat" in text
        assert "Whole house" not in text
        client.force_login(User.objects.create_superuser("ada", password="x"))
        assert "Whole house" in client.get(page).content.decode()

    def test_staff_mute_until_a_time_and_unmute(self, client, boss):
        alert = incident("Trouble")
        until = timezone.now() + timedelta(hours=2)
        given = {"confirmed": "yes", "until": f"{until:%Y-%m-%dT%H:%M}", "reason": "Known"}
        act(client, ALERTS, "mute_selected", alert, **given)
        alert.refresh_from_db()
        assert alert.is_muted(timezone.now())
        act(client, ALERTS, "unmute_selected", alert, confirmed="yes", reason="Done")
        alert.refresh_from_db()
        assert alert.muted_until is None

    @pytest.mark.parametrize(("hours", "reason"), [(-1, "x"), (24 * 40, "x"), (1, "")])
    def test_muting_needs_a_sensible_time_and_a_reason(self, client, boss, hours, reason):
        alert = incident("Trouble")
        until = timezone.now() + timedelta(hours=hours)
        given = {"confirmed": "yes", "until": f"{until:%Y-%m-%dT%H:%M}", "reason": reason}
        act(client, ALERTS, "mute_selected", alert, **given)
        alert.refresh_from_db()
        assert alert.muted_until is None

    def test_the_page_shows_figures_and_notices(self, client, boss):
        alert = incident("Trouble", page="/admin/messaging/outboundmessage/")
        Notice.objects.create(
            alert=alert,
            outlet="email",
            kind="opened",
            severity="warning",
            content={},
            state="GIVEN_UP",
            error="Answered 500",
            next_try_at=timezone.now(),
            created_at=timezone.now(),
        )
        url = reverse("admin:alerts_alert_change", args=[alert.pk])
        html = client.get(url).content.decode()
        assert "Answered 500" in html
        assert "<dt>Stuck</dt><dd>3</dd>" in html

    def test_limited_staff_see_and_handle_their_organizations_only(
        self, client, bob, org, other_org
    ):
        mine, theirs, whole = incident("Ours", org), incident("Theirs", other_org), incident("All")
        html = client.get(ALERTS).content.decode()
        assert "Ours" in html
        assert "Theirs" not in html
        for other in (theirs, whole):
            url = reverse("admin:alerts_alert_change", args=[other.pk])
            assert client.get(url).status_code == 302
        confirmed = {"confirmed": "yes", "reason": "x"}
        act(client, ALERTS, "acknowledge_selected", mine, theirs, whole, **confirmed)
        done = Alert.objects.exclude(acknowledged_at=None)
        assert list(done) == [mine]

    def test_without_the_right_nothing_can_be_handled(self, client, bob, org):
        bob.user_permissions.remove(Permission.objects.get(codename="handle_alert"))
        alert = incident("Ours", org)
        act(client, ALERTS, "acknowledge_selected", alert, confirmed="yes", reason="x")
        alert.refresh_from_db()
        assert alert.acknowledged_at is None


class TestRoutes:
    def test_a_secret_is_written_and_never_shown(self, client, boss):
        url = "https://hooks.slack.com/services/T000/B000/secret"
        given = {**MAIL, "outlet": "slack", "url": url}
        assert client.post(reverse("admin:alerts_route_add"), given).status_code == 302
        route = Route.objects.get()
        assert route.url == url
        page = reverse("admin:alerts_route_change", args=[route.pk])
        assert "B000" not in client.get(page).content.decode()
        client.post(page, {**given, "url": "", "name": "Day shift"})
        route.refresh_from_db()
        assert (route.url, route.name) == (url, "Day shift")
        assert "B000" not in str(list(AuditEvent.objects.values_list("after", flat=True)))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"recipients": ""},
            {"recipients": "nobody"},
            {"outlet": "slack", "url": "https://example.org/x"},
            {"outlet": "webhook", "url": "http://example.org/x", "signing_secret": "whsec_x"},
            {"outlet": "webhook", "url": "https://example.org/x"},
        ],
    )
    def test_what_the_outlet_needs_is_asked_for(self, client, boss, wrong):
        answer = client.post(reverse("admin:alerts_route_add"), {**MAIL, **wrong})
        assert answer.status_code == 200
        assert not Route.objects.exists()

    def test_limited_staff_make_routes_of_their_organizations_only(
        self, client, bob, org, other_org
    ):
        add = reverse("admin:alerts_route_add")
        for org_id in ("", other_org.pk):
            client.post(add, {**MAIL, "org": org_id})
        assert not Route.objects.exists()
        client.post(add, {**MAIL, "org": org.pk})
        assert Route.objects.get().org == org

    def test_a_test_alert_says_what_arrived(self, client, boss, mailoutbox):
        Route.objects.create(name="Night shift", outlet="email", recipients="a@example.org")
        page = reverse("admin:alerts_route_test_all")
        assert "Night shift" in client.get(page).content.decode()
        assert mailoutbox == []
        html = client.post(page, follow=True).content.decode()
        assert "E-mail (route Night shift): sent" in html
        assert sorted(mail.to for mail in mailoutbox) == [["a@example.org"], ["ops@example.org"]]


def test_each_check_can_be_run_now(client, boss, number, settings):
    settings.OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD = 0
    MessageFactory(phone_number=number)
    assert "Queue depth" in client.get(CHECKS).content.decode()
    run = CheckRun.objects.get(name="queue_depth")
    html = act(client, CHECKS, "run_selected", run).content.decode()
    assert "Queue depth: 1 incident(s) open, 1 notice(s) on their way." in html
    assert AuditEvent.objects.get(action="alert.checked").target == "check:queue_depth"


def test_checks_are_for_those_who_reach_everything(client, bob):
    assert client.get(CHECKS).status_code == 403


def test_the_report_shows_what_is_in_reach(client, bob, org, other_org):
    for each, code in ((org, "131026"), (other_org, "131000")):
        number = PhoneNumberFactory(org=each)
        MessageFactory(phone_number=number, status=Status.FAILED, error_code=code)
    html = client.get(REPORT).content.decode()
    assert "131026" in html
    assert f"?org={org.org_id}" in html
    assert "131000" not in html
    assert "globex" not in html


def test_the_report_needs_the_right_to_see_messages(client, bob):
    bob.user_permissions.clear()
    assert client.get(REPORT).status_code == 403


def test_links_of_incidents_open_filtered_pages(client, boss, number, settings):
    settings.OUTBOUND_ALERT_DLQ_THRESHOLD = 0
    other = PhoneNumberFactory()
    MessageFactory(phone_number=number, status=Status.FAILED, attempt_count=5)
    MessageFactory(phone_number=other, status=Status.FAILED, attempt_count=5)
    MessageFactory(phone_number=number, attempt_count=5, max_attempts=9)
    checking.run(["dlq", "escalation"])
    for alert in Alert.objects.all():
        answer = client.get(alert.page)
        assert answer.status_code == 200
        assert "e=1" not in answer.request["QUERY_STRING"]
        shown = answer.context["cl"].result_count
        assert shown == (1 if alert.org_id else 2)
