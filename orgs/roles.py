"""What each built-in role may do: one table, applied after every migration.

A role is a group. Which organisations somebody acts for is another matter (orgs.staff): roles say
nothing of it, except the group that reaches every one. The groups always hold exactly what stands
here; for other sets of rights make a group of your own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat

VIEWER = "Viewer"
OPERATOR = "Operator"
MANAGER = "Manager"
AUDITOR = "Auditor"
PERSONAL_DATA = "Personal data"
EVERYWHERE = "Every organisation"

_VIEW = (
    "alerts.view_alert",
    "alerts.view_checkrun",
    "alerts.view_notice",
    "alerts.view_route",
    "consent.view_consent",
    "consent.view_consentimport",
    "consent.view_consentpolicy",
    "consent.view_contact",
    "messaging.view_bulkoperation",
    "messaging.view_businessaccount",
    "messaging.view_heartbeat",
    "messaging.view_inboundmessage",
    "messaging.view_messagetemplate",
    "messaging.view_metaapp",
    "messaging.view_outboundmessage",
    "messaging.view_phonenumber",
    "messaging.view_providernotice",
    "messaging.view_webhookdelivery",
    "orgs.view_organization",
    "ratelimit.view_hold",
    "ratelimit.view_whatsappratelimit",
)
_OPERATE = (
    "alerts.handle_alert",
    "consent.change_consent",  # record a decision, revoke
    "messaging.add_outboundmessage",  # send a test message
    "messaging.change_outboundmessage",  # requeue, cancel, discard
    "messaging.pause_sending",
    "messaging.read_templates",
    "messaging.replay_webhook",
    "ratelimit.delete_hold",  # lift
)
_MANAGE = (
    "alerts.add_route",
    "alerts.change_route",
    "alerts.delete_route",
    "axes.delete_accessattempt",  # let in again
    "axes.view_accessattempt",
    "consent.add_consentimport",
    "consent.add_consentpolicy",
    "consent.change_consentpolicy",
    "consent.change_contact",
    "django_celery_beat.add_crontabschedule",
    "django_celery_beat.add_intervalschedule",
    "django_celery_beat.change_periodictask",
    "django_celery_beat.view_crontabschedule",
    "django_celery_beat.view_intervalschedule",
    "django_celery_beat.view_periodictask",
    "messaging.add_businessaccount",
    "messaging.add_metaapp",
    "messaging.add_phonenumber",
    "messaging.change_businessaccount",
    "messaging.change_metaapp",
    "messaging.change_phonenumber",
    "orgs.add_apikey",
    "orgs.add_organization",
    "orgs.change_organization",
    "orgs.delete_apikey",  # revoke
    "orgs.view_apikey",
    "ratelimit.change_whatsappratelimit",
)
_AUDIT = (
    "auth.view_group",
    "auth.view_user",
    "axes.view_accessattempt",
    "orgs.export_auditevent",
    "orgs.view_apikey",
    "orgs.view_auditevent",
    "orgs.view_membership",
)

ROLES: dict[str, frozenset[str]] = {
    VIEWER: frozenset(_VIEW),
    OPERATOR: frozenset(_VIEW + _OPERATE),
    MANAGER: frozenset(_VIEW + _OPERATE + _MANAGE),
    AUDITOR: frozenset(_VIEW + _AUDIT),
    # Given on top of a role, to the few who need it.
    PERSONAL_DATA: frozenset(
        {
            "consent.erase_contact",
            "consent.export_contact",
            "messaging.view_webhook_body",
            "orgs.open_content",
            "orgs.unmask_person",
        }
    ),
    EVERYWHERE: frozenset({"orgs.reach_every_organization"}),
}


@transaction.atomic
def apply() -> None:
    """Make the groups and give each exactly its permissions, as far as these exist by now."""
    Group.objects.bulk_create((Group(name=name) for name in ROLES), ignore_conflicts=True)
    groups = dict(Group.objects.filter(name__in=ROLES).values_list("name", "pk"))
    known = _permissions(frozenset().union(*ROLES.values()))
    given = Group.permissions.through
    wanted = {
        (groups[name], known[permission])
        for name, permissions in ROLES.items()
        for permission in permissions & known.keys()
    }
    rows = given.objects.filter(group__in=groups.values())
    there = set(rows.values_list("group_id", "permission_id"))
    for group, permission in there - wanted:
        rows.filter(group=group, permission=permission).delete()
    given.objects.bulk_create(
        given(group_id=group, permission_id=permission) for group, permission in wanted - there
    )


def apply_after_migrate(app_config: AppConfig, **_kwargs: Any) -> None:
    """Apply the table once the permissions of all apps are there: after the last one's turn."""
    with_models = [config for config in apps.get_app_configs() if config.models_module]
    if app_config == with_models[-1]:
        apply()


def _permissions(names: Iterable[str]) -> dict[str, int]:
    named = Permission.objects.annotate(
        full_name=Concat(F("content_type__app_label"), Value("."), F("codename"))
    )
    return dict(named.filter(full_name__in=names).values_list("full_name", "pk"))
