"""The console's pages of keys, of staff and roles, and of the audit trail."""

from __future__ import annotations

import csv
import re

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.urls import reverse

from orgs import audit, keys, roles, trail
from orgs.models import ApiKey, AuditEvent, Membership
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

KEYS = reverse("admin:orgs_apikey_changelist")
TRAIL = reverse("admin:orgs_auditevent_changelist")
EXPORT = reverse("admin:orgs_auditevent_export_csv")


class TestKeys:
    def test_a_key_is_shown_once_and_kept_nowhere(self, admin_client, org):
        fields = {"org": org.pk, "name": "shop", "scopes": ["send", "read"]}
        answer = admin_client.post(reverse("admin:orgs_apikey_add"), fields)
        assert answer.status_code == 200
        (secret,) = set(re.findall(r"ob_\w{8}_[\w-]+", answer.content.decode()))
        assert keys.find(secret) == ApiKey.objects.get()
        assert "no-store" in answer.headers["Cache-Control"]
        assert "messages" not in answer.cookies
        sessions = [session.get_decoded() for session in Session.objects.all()]
        assert secret not in str(sessions)
        page = reverse("admin:orgs_apikey_change", args=[ApiKey.objects.get().pk])
        again = admin_client.get(page).content.decode() + admin_client.get(KEYS).content.decode()
        assert secret not in again
        assert ApiKey.objects.get().secret_hash not in again

    def test_revoking_asks_why(self, admin_client, org):
        key, secret = keys.issue(org, name="shop", scopes=["read"], actor="system:tests")
        chosen = {"action": "revoke_selected", "_selected_action": [key.pk]}
        assert "Reason" in admin_client.post(KEYS, chosen).content.decode()
        assert keys.find(secret)
        admin_client.post(KEYS, {**chosen, "confirmed": "yes", "reason": "leaked"})
        assert keys.find(secret) is None
        assert AuditEvent.objects.get(action="api_key.revoked").reason == "leaked"


class TestTrail:
    def events(self, org, count: int = 3) -> None:
        audit.record(
            [audit.Entry(org.pk, "user:7", "thing.done", f"thing:{n}") for n in range(count)]
        )

    def rows(self, answer) -> list[list[str]]:
        text = b"".join(answer.streaming_content).decode()
        return list(csv.reader(text.splitlines()))

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ({"actor__exact": "user:7"}, 3),
            ({"actor__exact": "user:8"}, 0),
            ({"action__exact": "thing.done"}, 3),
            ({"target__exact": "thing:1"}, 1),
            ({"q": "thing:1"}, 1),
            ({"at_from_0": "2020-01-01", "at_from_1": "00:00:00"}, 3),
            ({"at_from_0": "2020-01-01"}, 3),
            ({"at_to_0": "2020-01-01", "at_to_1": "00:00:00"}, 0),
        ],
    )
    def test_it_is_filtered(self, admin_client, org, query, count):
        self.events(org)
        events = admin_client.get(TRAIL, query).context["cl"].queryset
        assert events.filter(action="thing.done").count() == count
        assert events.count() == count or "at_from_0" in query

    def test_the_export_has_what_the_list_shows_and_is_recorded(self, admin_client, org):
        self.events(org)
        rows = self.rows(admin_client.get(EXPORT, {"target__exact": "thing:1"}))
        assert rows[0] == list(trail.HEADERS)
        assert [row[1:5] for row in rows[1:]] == [["acme", "user:7", "thing.done", "thing:1"]]
        event = AuditEvent.objects.get(action="audit.exported")
        assert event.after == {"filtered_by": ["target__exact"]}

    def test_it_is_bounded_and_read_in_slices(self, org, monkeypatch):
        self.events(org, 7)
        monkeypatch.setattr(trail, "_BATCH", 2)
        monkeypatch.setattr(trail, "MOST_ROWS", 5)
        lines = list(csv.reader(trail.lines(AuditEvent.objects.all())))
        assert [line[4] for line in lines[1:-1]] == [f"thing:{n}" for n in (6, 5, 4, 3, 2)]
        # What is left out is told: who reads the file must not take it for the whole trail.
        assert lines[-1] == [trail.CUT, *[""] * 7]
        monkeypatch.setattr(trail, "MOST_ROWS", 7)
        lines = list(csv.reader(trail.lines(AuditEvent.objects.all())))
        assert [line[4] for line in lines[1:]] == [f"thing:{n}" for n in (6, 5, 4, 3, 2, 1, 0)]

    def test_its_page_says_where_the_export_ends(self, admin_client):
        assert "its last line says so" in admin_client.get(TRAIL).content.decode()

    def test_a_reason_is_no_formula(self, org):
        audit.record([audit.Entry(org.pk, "user:7", "x", "x", "=HYPERLINK(1)")])
        (_, line) = csv.reader(trail.lines(AuditEvent.objects.all()))
        assert line[5] == "'=HYPERLINK(1)"

    def test_exporting_is_a_right_of_its_own_and_stays_within_reach(self, client, org, other_org):
        self.events(org)
        self.events(other_org, 4)
        client.force_login(staff_user("view_auditevent", orgs=(org,)))
        assert client.get(EXPORT).status_code == 403
        client.force_login(staff_user("view_auditevent", "export_auditevent", orgs=(org,)))
        assert {row[1] for row in self.rows(client.get(EXPORT))[1:]} == {"acme"}


class TestStaff:
    def change(self, client, user: User, **fields):
        url = reverse("admin:auth_user_change", args=[user.pk])
        form = {
            "username": user.username,
            "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00:00",
            "is_active": "on",
            "is_staff": "on",
            "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0,
            **fields,
        }
        return client.post(url, form)

    def test_groups_and_memberships_are_set_and_recorded(self, admin_client, org):
        user = User.objects.create_user("bob", password="x", is_staff=True)
        viewer = Group.objects.get(name=roles.VIEWER)
        answer = self.change(
            admin_client,
            user,
            groups=[viewer.pk],
            **{"memberships-TOTAL_FORMS": 1, "memberships-0-org": org.pk},
        )
        assert answer.status_code == 302
        assert Membership.objects.get().user == user
        event = AuditEvent.objects.get(action="user.changed")
        assert event.before == {"groups": [], "organizations": []}
        assert event.after == {"groups": ["Viewer"], "organizations": ["acme"]}

    def test_a_new_user_is_recorded_without_the_password(self, admin_client):
        form = {"username": "bob", "password1": "long-enough-1", "password2": "long-enough-1"}
        answer = admin_client.post(
            reverse("admin:auth_user_add"), {**form, "usable_password": "true"}
        )
        assert answer.status_code == 302
        event = AuditEvent.objects.get(action="user.created")
        assert event.after["username"] == "bob"
        assert "long-enough-1" not in str((event.before, event.after))

    def test_a_password_set_by_another_is_recorded(self, admin_client):
        user = User.objects.create_user("bob", password="x")
        url = reverse("admin:auth_user_password_change", args=[user.pk])
        form = {"password1": "long-enough-1", "password2": "long-enough-1"}
        admin_client.post(url, {**form, "usable_password": "true"})
        user.refresh_from_db()
        assert user.check_password("long-enough-1")
        assert AuditEvent.objects.get(action="user.password_set").target == f"user:{user.pk}"

    def test_ones_own_password_is_recorded_once_it_is_changed(self, client):
        user = staff_user()
        user.set_password("old-enough-1")
        user.save()
        client.force_login(user)
        form = {"new_password1": "long-enough-1", "new_password2": "long-enough-1"}
        for old in ("wrong", "old-enough-1"):
            assert not AuditEvent.objects.filter(action="user.password_changed").exists()
            client.post(reverse("admin:password_change"), {**form, "old_password": old})
        user.refresh_from_db()
        assert user.check_password("long-enough-1")
        event = AuditEvent.objects.get(action="user.password_changed")
        assert event.actor == event.target == f"user:{user.pk}"

    def test_who_is_no_superuser_makes_none_and_touches_none(self, client, admin_user):
        clerk = staff_user("view_user", "change_user")
        client.force_login(clerk)
        manager = Group.objects.get(name=roles.MANAGER)
        self.change(client, clerk, is_superuser="on", groups=[manager.pk])
        clerk.refresh_from_db()
        assert not clerk.is_superuser
        assert not clerk.groups.exists()
        assert self.change(client, admin_user).status_code == 403
        url = reverse("admin:auth_user_password_change", args=[admin_user.pk])
        assert client.post(url, {"password1": "a", "password2": "a"}).status_code == 403

    def test_people_are_not_deleted(self, admin_client):
        user = User.objects.create_user("bob", password="x")
        url = reverse("admin:auth_user_delete", args=[user.pk])
        assert admin_client.post(url, {"post": "yes"}).status_code == 403

    def test_changes_of_a_role_are_recorded(self, admin_client):
        own = Group.objects.create(name="Own")
        url = reverse("admin:auth_group_change", args=[own.pk])
        admin_client.post(url, {"name": "Ours"})
        assert AuditEvent.objects.get(action="group.changed").after == {"name": "Ours"}
        admin_client.post(reverse("admin:auth_group_delete", args=[own.pk]), {"post": "yes"})
        assert AuditEvent.objects.get(action="group.deleted").before["name"] == "Ours"


@pytest.mark.parametrize(("page", "status"), [("1", 200), ("x", 404), ("99", 404)])
def test_a_page_of_the_search_that_is_not_there_is_not_found(admin_client, page, status):
    answer = admin_client.get(reverse("admin:search"), {"s": "audit", "page": page})
    assert answer.status_code == status
