"""The second factor: setting it up, being asked for it, losing the phone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP

from orgs import database, second_factor
from orgs.models import AuditEvent, SecondFactor

pytestmark = [pytest.mark.django_db, pytest.mark.core]

ASK = reverse("second_factor")
SET_UP = reverse("second_factor_set_up")


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="x")


def code_of(user: User, steps: int = 0) -> str:
    """Return the code the app shows, or showed so many steps away."""
    factor = SecondFactor.objects.get(user=user)
    totp = TOTP(bytes.fromhex(factor.secret))
    totp.time = database.now().timestamp() + 30 * steps
    return f"{totp.token():06}"


@pytest.fixture
def enrolled(ada: User) -> list[str]:
    """Set it up; return the recovery codes."""
    second_factor.begin(ada)
    return second_factor.confirm(ada, code_of(ada, -1))


class TestCodes:
    def test_a_code_is_good_once(self, ada, enrolled):
        code = code_of(ada)
        assert second_factor.verify(ada, code)
        assert not second_factor.verify(ada, code)

    def test_an_older_code_is_not_taken_after_a_newer_one(self, ada, enrolled):
        assert second_factor.verify(ada, code_of(ada, 1))
        assert not second_factor.verify(ada, code_of(ada))

    def test_a_recovery_code_is_good_once_and_audited(self, ada, enrolled):
        assert len(enrolled) == second_factor.RECOVERY_CODES
        assert second_factor.verify(ada, f" {enrolled[0].upper()}")
        assert not second_factor.verify(ada, enrolled[0])
        assert second_factor.verify(ada, enrolled[1])
        assert AuditEvent.objects.filter(action="second_factor.recovery_code_used").count() == 2

    def test_guessing_is_slowed_down(self, ada, enrolled):
        for _ in range(second_factor.FREE_FAILURES):
            assert not second_factor.verify(ada, "000000")
        assert not second_factor.verify(ada, code_of(ada))
        SecondFactor.objects.update(wait_until=database.now() - timedelta(seconds=1))
        assert second_factor.verify(ada, code_of(ada))
        assert SecondFactor.objects.get().failures == 0

    @pytest.mark.parametrize("code", ["", "12345", "１２３４５６", "-00001", "1" * 32, "null"])
    def test_nonsense_is_wrong_and_breaks_nothing(self, ada, enrolled, code):
        assert not second_factor.verify(ada, code)

    def test_nothing_is_kept_in_the_clear(self, ada, enrolled):
        secret = SecondFactor.objects.get().secret
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM orgs_secondfactor")
            kept = str(cursor.fetchall())
        assert secret not in kept
        assert not [code for code in enrolled if code in kept]


class TestPages:
    def test_off_asks_nobody_and_has_no_pages(self, client, ada, enrolled):
        client.force_login(ada)
        assert client.get("/admin/").status_code == 200
        assert client.get(ASK).status_code == client.get(SET_UP).status_code == 404

    def test_optional_asks_only_those_who_have_set_it_up(self, client, ada, settings):
        settings.OUTBOUND_TOTP = "optional"
        client.force_login(ada)
        assert client.get("/admin/").status_code == 200
        page = client.get(SET_UP).content.decode()
        assert "<svg" in page
        wrong = client.post(SET_UP, {"code": "000000"}).content.decode()
        assert "not right" in wrong
        done = client.post(SET_UP, {"code": code_of(ada)}).content.decode()
        assert len(re.findall(r"<li>[0-9a-f]{10}</li>", done)) == second_factor.RECOVERY_CODES
        assert client.get("/admin/").status_code == 200
        again = Client()
        again.force_login(ada)
        assert again.get("/admin/orgs/apikey/?o=1").headers["Location"] == (
            f"{ASK}?next=%2Fadmin%2Forgs%2Fapikey%2F%3Fo%3D1"
        )

    def test_required_sends_everybody_to_set_it_up(self, client, ada, settings):
        settings.OUTBOUND_TOTP = "required"
        client.force_login(ada)
        answer = client.post("/admin/orgs/apikey/add/", {"name": "x"})
        assert answer.headers["Location"].startswith(SET_UP)

    def test_the_password_alone_shows_and_does_nothing(self, client, ada, enrolled, settings):
        settings.OUTBOUND_TOTP = "required"
        client.force_login(ada)
        for path in ("/admin/", "/admin/auth/user/", "/admin/search/?s=a", "/admin/dashboard/"):
            assert client.get(path).headers["Location"].startswith(ASK)
        # Nor can it be removed or set up anew.
        assert client.get(SET_UP).headers["Location"] == ASK
        client.post(SET_UP, {"code": code_of(ada)})
        assert SecondFactor.objects.exists()

    def test_the_code_opens_the_page_that_was_wanted(self, client, ada, enrolled, settings):
        settings.OUTBOUND_TOTP = "optional"
        client.force_login(ada)
        wrong = client.post(ASK, {"code": "000000", "next": "/admin/auth/user/"})
        assert "not right" in wrong.content.decode()
        answer = client.post(ASK, {"code": code_of(ada), "next": "/admin/auth/user/"})
        assert answer.headers["Location"] == "/admin/auth/user/"
        assert client.get("/admin/auth/user/").status_code == 200

    def test_it_leads_to_no_other_site(self, client, ada, enrolled, settings):
        settings.OUTBOUND_TOTP = "optional"
        client.force_login(ada)
        answer = client.post(ASK, {"code": code_of(ada), "next": "https://evil.example/"})
        assert answer.headers["Location"] == "/admin/"

    def test_ones_own_is_removed_by_a_code(self, client, ada, enrolled, settings):
        settings.OUTBOUND_TOTP = "optional"
        client.force_login(ada)
        client.post(ASK, {"code": enrolled[0]})
        client.post(SET_UP, {"code": "wrong"})
        assert SecondFactor.objects.exists()
        client.post(SET_UP, {"code": enrolled[1]})
        assert not SecondFactor.objects.exists()
        assert AuditEvent.objects.get(action="second_factor.removed").actor == f"user:{ada.pk}"

    def test_an_administrator_removes_that_of_a_lost_phone(self, admin_client, ada, enrolled):
        url = reverse("admin:auth_user_remove_second_factor", args=[ada.pk])
        assert (
            url
            in admin_client.get(reverse("admin:auth_user_change", args=[ada.pk])).content.decode()
        )
        admin_client.post(url, {"confirmed": "yes"})
        assert SecondFactor.objects.exists()
        admin_client.post(url, {"confirmed": "yes", "reason": "phone is lost"})
        assert not SecondFactor.objects.exists()
        assert AuditEvent.objects.get(action="second_factor.removed").reason == "phone is lost"
