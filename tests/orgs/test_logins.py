"""Logging in to the console: lock-out, the age of a session, the headers of pages."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import QueryDict
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from orgs import guard, logins
from orgs.models import AuditEvent
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LOGIN = reverse("admin:login")


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="correct-horse")


def log_in(client: Client, password: str, name: str = "ada", **headers: str):
    return client.post(f"{LOGIN}?next=/admin/", {"username": name, "password": password}, **headers)


class TestLockOut:
    def test_too_many_wrong_passwords_shut_out_even_the_right_one(self, client, ada, settings):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            assert log_in(client, "wrong").status_code == 200
        answer = log_in(client, "wrong")
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == str(settings.OUTBOUND_LOGIN_LOCKOUT_SECONDS)
        assert "Too many" in answer.content.decode()
        assert log_in(client, "correct-horse").status_code == 429
        assert AuditEvent.objects.filter(action="login.shut_out", target="login:ada").count() == 1

    def test_others_and_other_addresses_still_get_in(self, client, ada, settings):
        User.objects.create_superuser("bob", password="battery-staple")
        for _ in range(settings.AXES_FAILURE_LIMIT):
            log_in(client, "wrong")
        assert log_in(client, "battery-staple", "bob").status_code == 302
        assert log_in(Client(), "correct-horse", REMOTE_ADDR="192.0.2.9").status_code == 302

    def test_success_forgets_failures_and_is_recorded(self, client, ada):
        log_in(client, "wrong")
        assert log_in(client, "correct-horse").status_code == 302
        assert not AccessAttempt.objects.exists()
        assert AuditEvent.objects.get(action="login.succeeded").actor == f"user:{ada.pk}"

    def test_staff_let_somebody_in_again_with_a_reason(self, client, admin_client, ada, settings):
        for _ in range(settings.AXES_FAILURE_LIMIT):
            log_in(client, "wrong")
        url = reverse("admin:axes_accessattempt_changelist")
        chosen = {
            "action": "let_in_selected",
            "_selected_action": [AccessAttempt.objects.get().pk],
        }
        admin_client.post(url, chosen)
        assert AccessAttempt.objects.exists()
        admin_client.post(url, {**chosen, "confirmed": "yes", "reason": "called me"})
        assert log_in(client, "correct-horse").status_code == 302
        assert AuditEvent.objects.get(action="login.let_in").reason == "called me"

    def test_what_is_typed_into_the_wrong_field_is_neither_stored_nor_logged(
        self, client, ada, caplog
    ):
        with caplog.at_level(logging.DEBUG):
            log_in(client, "hunter2-hunter2", "+12025550123")
            log_in(client, "hunter2-hunter2")
        kept = str(list(AccessAttempt.objects.values())) + caplog.text
        assert "hunter2" not in kept
        assert "2025550123" not in kept


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.7", "10.0.0.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_say_is_believed(settings, proxies, forwarded, address):
    settings.OUTBOUND_TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert logins.client_address(request) == address


class TestSession:
    @pytest.fixture
    def clock(self, monkeypatch):
        class Clock:
            now = 1_800_000_000

        monkeypatch.setattr(guard.time, "time", lambda: Clock.now)
        return Clock

    def test_it_ends_after_so_long_without_a_click(self, admin_client, clock, settings):
        assert admin_client.get("/admin/").status_code == 200
        clock.now += settings.OUTBOUND_SESSION_IDLE_SECONDS - 1
        assert admin_client.get("/admin/").status_code == 200
        clock.now += settings.OUTBOUND_SESSION_IDLE_SECONDS
        answer = admin_client.get("/admin/orgs/apikey/")
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"{LOGIN}?next=%2Fadmin%2Forgs%2Fapikey%2F"
        assert "sessionid" not in admin_client.cookies or not admin_client.session.keys()

    def test_it_ends_under_a_prefix_too(self, admin_client, clock, settings, monkeypatch):
        monkeypatch.setattr(guard, "_console", lambda: "/outbound/admin/")
        admin_client.get("/admin/", SCRIPT_NAME="/outbound")
        clock.now += settings.OUTBOUND_SESSION_IDLE_SECONDS + 1
        answer = admin_client.get("/admin/orgs/apikey/", SCRIPT_NAME="/outbound")
        assert answer.status_code == 302

    def test_a_page_that_refreshes_itself_does_not_keep_it(self, admin_client, clock, settings):
        admin_client.get("/admin/")
        for _ in range(3):
            clock.now += settings.OUTBOUND_SESSION_IDLE_SECONDS // 2
            last = admin_client.get("/admin/", HTTP_X_REQUESTED_WITH="XMLHttpRequest")
        assert last.status_code == 401

    @pytest.mark.parametrize(
        ("shown", "next_page"),
        [
            ("http://testserver/admin/orgs/apikey/?q=a&p=2", "/admin/orgs/apikey/?q=a&p=2"),
            ("http://testserver/admin/orgs/apikey/", "/admin/orgs/apikey/"),
            ("http://evil.example/admin/", "/admin/"),
            ("http://testserver//evil.example/", "/admin/"),
            ("http://testserver/elsewhere/", "/admin/"),
            ("", "/admin/"),
        ],
    )
    @pytest.mark.parametrize("is_forgotten", [False, True])
    def test_a_part_of_a_page_leads_to_the_log_in_and_back_to_the_page(
        self, admin_client, clock, settings, shown, next_page, is_forgotten
    ):
        admin_client.get("/admin/")
        if is_forgotten:
            Session.objects.all().delete()
        else:
            clock.now += settings.OUTBOUND_SESSION_IDLE_SECONDS
        part = reverse("console:dashboard")
        answer = admin_client.get(part, HTTP_HX_REQUEST="true", HTTP_HX_CURRENT_URL=shown)
        assert answer.status_code == 401
        assert answer.content == b""
        address, _, query = answer.headers["HX-Redirect"].partition("?")
        assert address == LOGIN
        assert QueryDict(query)["next"] == next_page

    def test_a_part_of_a_page_leads_to_the_second_factor_too(self, admin_client, settings):
        settings.OUTBOUND_TOTP = "required"
        answer = admin_client.get(reverse("console:dashboard"), HTTP_HX_REQUEST="true")
        assert answer.status_code == 401
        assert answer.headers["HX-Redirect"].startswith(reverse("second_factor_set_up"))

    def test_ended_ones_are_deleted(self, client, admin_client):
        client.force_login(staff_user())
        ended = Session.objects.filter(pk=client.session.session_key)
        ended.update(expire_date=timezone.now() - timedelta(seconds=1))
        assert (logins.purge_sessions(), logins.purge_sessions()) == (1, 0)
        assert Session.objects.get().pk == admin_client.session.session_key

    def test_it_ends_after_so_long_in_any_case(self, admin_client, clock, settings):
        step = settings.OUTBOUND_SESSION_IDLE_SECONDS // 2
        statuses = []
        for _ in range(settings.OUTBOUND_SESSION_MAX_SECONDS // step + 1):
            statuses.append(admin_client.get("/admin/").status_code)
            clock.now += step
        assert statuses.count(302) == 1
        assert statuses[-1] == 302


class TestHeaders:
    def test_the_console_may_do_what_its_theme_needs_and_no_more(self, admin_client):
        answer = admin_client.get("/admin/")
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "style-src 'self' 'unsafe-inline'" in policy
        for part in ("default-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
            assert part in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "camera=()" in answer.headers["Permissions-Policy"]

    def test_elsewhere_nothing_inline_runs(self, client):
        answer = client.get("/healthz")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        docs = client.get("/api/docs/")
        assert "script-src" not in docs.headers["Content-Security-Policy"]
        assert "<script>" not in docs.content.decode()

    def test_the_api_carries_none_of_it(self, api):
        answer = api.get("/api/v1/outbound-messages")
        assert answer.status_code == 200
        assert "Content-Security-Policy" not in answer.headers
