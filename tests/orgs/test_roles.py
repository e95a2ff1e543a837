"""What each role may do, as a table: role × action."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from orgs import roles

pytestmark = [pytest.mark.django_db, pytest.mark.core]

ACTIONS = {
    "read messages": "messaging.view_outboundmessage",
    "read audit": "orgs.view_auditevent",
    "export audit": "orgs.export_auditevent",
    "requeue, cancel": "messaging.change_outboundmessage",
    "pause": "messaging.pause_sending",
    "lift holds": "ratelimit.delete_hold",
    "replay webhooks": "messaging.replay_webhook",
    "record decisions": "consent.change_consent",
    "connect numbers": "messaging.change_businessaccount",
    "quotas": "ratelimit.change_whatsappratelimit",
    "issue keys": "orgs.add_apikey",
    "revoke keys": "orgs.delete_apikey",
    "unmask": "orgs.unmask_person",
    "open bodies": "messaging.view_webhook_body",
    "open content": "orgs.open_content",
    "erase people": "consent.erase_contact",
    "manage staff": "auth.change_user",
}
EVERYBODY = {"read messages"}
OPERATE = {"requeue, cancel", "pause", "lift holds", "replay webhooks", "record decisions"}
MANAGE = {"connect numbers", "quotas", "issue keys", "revoke keys"}
MAY = {
    roles.VIEWER: EVERYBODY,
    roles.OPERATOR: EVERYBODY | OPERATE,
    roles.MANAGER: EVERYBODY | OPERATE | MANAGE,
    roles.AUDITOR: EVERYBODY | {"read audit", "export audit"},
    roles.PERSONAL_DATA: {"unmask", "open bodies", "open content", "erase people"},
    roles.EVERYWHERE: set(),
}


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_just_what_the_table_says(role):
    user = User.objects.create_user("bob", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    assert {name for name, right in ACTIONS.items() if user.has_perm(right)} == MAY[role]


def test_every_permission_of_the_table_exists():
    """Of the apps and models that are installed; others may follow."""
    known = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    wanted = set().union(*roles.ROLES.values())
    models = {f"{model._meta.app_label}.{model._meta.model_name}" for model in apps.get_models()}
    missing = {
        name
        for name in wanted - known
        if apps.is_installed(name.split(".")[0])
        and f"{name.split('.')[0]}.{name.rpartition('_')[2]}" in models
    }
    assert not missing


def test_a_changed_role_is_put_right_and_other_groups_are_left_alone():
    viewer = Group.objects.get(name=roles.VIEWER)
    given = set(viewer.permissions.all())
    viewer.permissions.set(Permission.objects.filter(codename="change_user"))
    own = Group.objects.create(name="Own")
    own.permissions.set(given)
    roles.apply()
    assert set(viewer.permissions.all()) == given
    assert set(own.permissions.all()) == given


def test_applying_again_asks_little(django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        roles.apply()


def test_a_built_in_role_is_not_edited_by_hand(admin_client):
    viewer = Group.objects.get(name=roles.VIEWER)
    for page in ("change", "delete"):
        url = reverse(f"admin:auth_group_{page}", args=[viewer.pk])
        assert admin_client.post(url, {"name": "x", "post": "yes"}).status_code == 403
    assert Group.objects.filter(pk=viewer.pk, name=roles.VIEWER).exists()
