"""What each role is let do, page by page and action by action: a table against the console."""

from __future__ import annotations

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from alerts.models import Alert, CheckRun, Route
from consent.models import Consent, ConsentImport, ConsentPolicy
from messaging import schedules
from messaging.models import (
    BulkOperation,
    DeadLetter,
    Discard,
    Heartbeat,
    OutboundMessage,
    PhoneNumber,
    ProviderNotice,
    WebhookDelivery,
)
from messaging.states import Status
from orgs import database, keys, roles
from orgs.models import ApiKey, AuditEvent, Organization
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold, WhatsAppRateLimit
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import (
    DeliveryFactory,
    MessageFactory,
    PhoneNumberFactory,
    TemplateFactory,
)

pytestmark = pytest.mark.django_db

ROLES = [
    (roles.VIEWER,),
    (roles.OPERATOR,),
    (roles.MANAGER,),
    (roles.AUDITOR,),
    (roles.VIEWER, roles.PERSONAL_DATA),
]
# The same rows under another name.
SEEN_AS = {DeadLetter: OutboundMessage, Discard: OutboundMessage}
# Rights that open an action of their own, not Django's page.
NOT_BY_HAND = {
    "add": {OutboundMessage, DeadLetter, Discard},
    "change": {OutboundMessage, DeadLetter, Discard, Consent, WhatsAppRateLimit},
    "delete": {ApiKey, Hold, AccessAttempt},
}
REQUEUE = "messaging.change_outboundmessage"
PAUSE = "messaging.pause_sending"
NUMBERS = "messaging.change_phonenumber"
SWITCH = "django_celery_beat.change_periodictask"

# What the action bar of a list offers, and the right it takes.
BAR = {
    ApiKey: {"revoke_selected": "orgs.delete_apikey"},
    AccessAttempt: {"let_in_selected": "axes.delete_accessattempt"},
    Consent: {"revoke_selected": "consent.change_consent"},
    Hold: {"lift_selected": "ratelimit.delete_hold"},
    Organization: {"pause_selected": PAUSE, "resume_selected": PAUSE},
    PhoneNumber: {"pause_selected": PAUSE, "resume_selected": PAUSE},
    OutboundMessage: {"requeue_selected": REQUEUE, "cancel_selected": REQUEUE},
    DeadLetter: {"requeue_selected": REQUEUE, "discard_selected": REQUEUE},
    Discard: {"restore_selected": REQUEUE},
    WhatsAppRateLimit: {
        "raise_quota": "ratelimit.change_whatsappratelimit",
        "lift_throttle": "ratelimit.change_whatsappratelimit",
    },
    PeriodicTask: {"enable_selected": SWITCH, "disable_selected": SWITCH, "run_selected": SWITCH},
    WebhookDelivery: {"process_again": "messaging.replay_webhook"},
    CheckRun: {"run_selected": "alerts.handle_alert"},
    Alert: {
        "acknowledge_selected": "alerts.handle_alert",
        "mute_selected": "alerts.handle_alert",
        "unmute_selected": "alerts.handle_alert",
    },
    Route: {"test_selected": "alerts.change_route", "delete_selected": "alerts.delete_route"},
    ConsentImport: {},
}
# Every further address of the console, by name, and the right it takes.
PAGES = {
    "orgs_auditevent_export_csv": "orgs.export_auditevent",
    "consent_consent_export_csv": "consent.export_contact",
    "consent_consent_show_proofs": "orgs.open_content",
    "consent_consentimport_progress": "consent.view_consentimport",
    "consent_consentimport_record": "consent.add_consentimport",
    "consent_consentimport_discard": "consent.add_consentimport",
    "consent_contact_show_person": "orgs.unmask_person",
    "consent_contact_record_decision": "consent.change_consent",
    "consent_contact_export_everything": "consent.export_contact",
    "consent_contact_erase": "consent.erase_contact",
    "messaging_messagetemplate_read_again": "messaging.read_templates",
    "messaging_deadletter_causes": "messaging.view_outboundmessage",
    "messaging_deadletter_requeue_all": REQUEUE,
    "messaging_deadletter_discard_all": REQUEUE,
    "messaging_deadletter_requeue_one": REQUEUE,
    "messaging_deadletter_discard_one": REQUEUE,
    "messaging_bulkoperation_progress": "messaging.view_bulkoperation",
    "messaging_bulkoperation_stop": REQUEUE,
    "messaging_bulkoperation_resume": REQUEUE,
    "messaging_bulkoperation_undo": REQUEUE,
    "messaging_webhookdelivery_show_body": "messaging.view_webhook_body",
    "messaging_outboundmessage_requeue_one": REQUEUE,
    "messaging_outboundmessage_cancel_one": REQUEUE,
    "messaging_outboundmessage_discard_one": REQUEUE,
    "messaging_outboundmessage_restore_one": REQUEUE,
    "messaging_outboundmessage_show_recipient": "orgs.unmask_person",
    "messaging_outboundmessage_show_content": "orgs.open_content",
    "messaging_phonenumber_ask_meta": NUMBERS,
    "messaging_phonenumber_send_test": "messaging.add_outboundmessage",
    "messaging_phonenumber_pause_number": PAUSE,
    "messaging_phonenumber_resume_number": PAUSE,
    "messaging_phonenumber_close_circuit": "ratelimit.delete_hold",
    "alerts_alert_acknowledge_one": "alerts.handle_alert",
    "alerts_alert_mute_one": "alerts.handle_alert",
    "alerts_route_test_all": "alerts.change_route",
    "auth_user_password_change": "auth.change_user",
    "auth_user_remove_second_factor": "auth.change_user",
    "test-message": "messaging.add_outboundmessage",
    "test-preview": "messaging.add_outboundmessage",
    "test-sent": "messaging.add_outboundmessage",
    "test-now": "messaging.add_outboundmessage",
    "dashboard": "messaging.view_outboundmessage",
    "dlq-report": "messaging.view_outboundmessage",
}
# Of whoever is logged in, whatever their rights.
EVERYBODYS = {
    *("index", "login", "logout", "password_change", "password_change_done", "search", None),
    *("autocomplete", "jsi18n", "view_on_site", "app_list", "second_factor"),
    "second_factor_set_up",
}
# These act at once, and only by POST.
AT_ONCE = {
    *(f"messaging_bulkoperation_{deed}" for deed in ("stop", "resume", "undo")),
    "messaging_phonenumber_ask_meta",
}
POSTED = AT_ONCE | {"test-preview"}
USUAL = ("changelist", "add", "change", "delete", "history")


def named(patterns=None) -> set[str | None]:
    """Return the names of all addresses under /admin/ that are not Django's usual ones."""
    found: set[str | None] = set()

    def walk(patterns, prefix: str) -> None:
        for pattern in patterns:
            text = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, text)
            elif isinstance(pattern, URLPattern) and text.startswith("/admin/"):
                found.add(pattern.name)

    walk(patterns or get_resolver().url_patterns, "/")
    usual = {
        f"{model._meta.app_label}_{model._meta.model_name}_{page}"
        for model in admin.site._registry
        for page in USUAL
    }
    return found - usual


def test_the_tables_know_every_address_and_every_action():
    assert named() - EVERYBODYS == set(PAGES)
    for model, page in admin.site._registry.items():
        assert set(page.actions) <= set(BAR.get(model, {})) | {"record", "discard"}, model


@pytest.fixture
def scene(org: Organization, number: PhoneNumber) -> dict[str, Model]:
    """Make a row of everything, in the state in which something can be done to it."""
    now = database.now()
    schedules.seed()
    failed = MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
    discarded = MessageFactory(phone_number=number, status=Status.CANCELLED, error_code="DISCARDED")
    key, _ = keys.issue(org, name="shop", scopes=["read"], actor="system:tests")
    paused = PhoneNumberFactory(org=org, account=number.account)
    app, causes = number.account.app, Hold.Cause
    stopped = [
        HoldRequest(Hold.Scope.APP, app.app_id, causes.PROVIDER_UNAVAILABLE, None),
        HoldRequest(Hold.Scope.NUMBER, paused.phone_number_id, causes.PAUSED_BY_STAFF, None),
    ]
    holds.place(stopped, now)
    somebody = User.objects.create_user("somebody", is_staff=True)
    rows = [
        org,
        number,
        number.account,
        number.account.app,
        failed,
        failed.contact,
        key,
        ConsentFactory(contact=failed.contact, org=org),
        TemplateFactory(account=number.account, org=org),
        DeliveryFactory(app=number.account.app, events=[org.pk]),
        AuditEvent.objects.latest("pk"),
        ConsentPolicy.objects.create(org=org),
        ConsentImport.objects.create(
            org=org, actor="user:1", created_at=now, updated_at=now, state="READY"
        ),
        Hold.objects.first(),
        WhatsAppRateLimit.objects.create(org=org),
        ProviderNotice.objects.create(
            org=org, account=number.account, topic="x", occurred_at=now, recorded_at=now, digest="x"
        ),
        Alert.objects.create(
            org=org, rule="dlq", title="x", severity="info", opened_at=now, last_seen_at=now
        ),
        Route.objects.create(org=org, name="x", outlet="email", least_severity="warning"),
        BulkOperation.objects.create(
            org=org, kind="requeue", matched=1, next_at=now, created_at=now, updated_at=now
        ),
        Discard.objects.create(
            org=org, message=discarded, reason="x", failed_at=now, discarded_at=now
        ),
        somebody,
        Group.objects.get(name=roles.VIEWER),
        Heartbeat.objects.create(kind="beat", name="x", started_at=now, seen_at=now),
        CheckRun.objects.create(name="dlq"),
        AccessAttempt.objects.create(username="x", ip_address="::1", failures_since_start=1),
        PeriodicTask.objects.first(),
        IntervalSchedule.objects.create(every=77, period="seconds"),
        CrontabSchedule.objects.first(),
        DeadLetter.objects.get(pk=failed.pk),
    ]
    found: dict[str, Model] = {
        f"{row._meta.app_label}_{row._meta.model_name}": row for row in rows if row is not None
    }
    found["queued"] = MessageFactory(phone_number=number)
    found["discarded"] = discarded
    found["paused"] = paused
    return found


@pytest.fixture
def person(client: Client, request: pytest.FixtureRequest) -> User:
    """Log in somebody with these roles, for every organisation."""
    user = User.objects.create_user("bob", is_staff=True)
    names = (*request.param, roles.EVERYWHERE)
    user.groups.set(Group.objects.filter(name__in=names))
    client.force_login(user)
    return user


def rights(person: User) -> set[str]:
    """Return what the table of roles gives them."""
    names = person.groups.values_list("name", flat=True)
    return set().union(*(roles.ROLES[name] for name in names))


def is_open(answer) -> bool:
    """Say whether the page opened, or led on from itself."""
    assert answer.status_code in {200, 302, 403}, answer.status_code
    assert "/admin/login/" not in answer.headers.get("Location", "")
    return answer.status_code != 403


@pytest.mark.parametrize("person", ROLES, indirect=True, ids=" and ".join)
def test_lists_and_pages_open_by_the_table_of_roles(client, person, scene):
    given, wrong = rights(person), []
    for model in admin.site._registry:
        stem = f"{model._meta.app_label}_{model._meta.model_name}"
        row = scene[stem]
        seen = SEEN_AS.get(model, model)._meta

        def may(verb: str, model=model, seen=seen) -> bool:
            right = f"{seen.app_label}.{verb}_{seen.model_name}" in given
            return right and model not in NOT_BY_HAND.get(verb, ())

        views = {
            "changelist": may("view"),
            "change": may("view"),
            "add": may("add"),
            "delete": may("delete"),
        }
        for page, expected in views.items():
            arguments = [row.pk] if page in {"change", "delete"} else []
            url = reverse(f"admin:{stem}_{page}", args=arguments)
            answer = client.get(url)
            if is_open(answer) is not expected:
                wrong.append((url, f"should open: {expected}"))
            # Pages with a look of their own have no form.
            shown = answer.context and answer.context.get("has_change_permission")
            if page == "change" and expected and shown not in {None, may("change")}:
                wrong.append((url, f"should save: {may('change')}"))
    assert wrong == []


@pytest.mark.parametrize("person", ROLES, indirect=True, ids=" and ".join)
def test_lists_offer_the_actions_of_the_table(client, person, scene):
    given = rights(person)
    for model in admin.site._registry:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        answer = client.get(url)
        if answer.status_code == 403:
            continue
        form = answer.context["action_form"]
        offered = {name for name, _ in form.fields["action"].choices if name} if form else set()
        wanted = {name for name, right in BAR.get(model, {}).items() if right in given}
        assert offered == wanted, url


@pytest.mark.parametrize("person", ROLES, indirect=True, ids=" and ".join)
def test_actions_open_by_the_table_of_roles(client, person, scene):
    given, wrong = rights(person), []
    for name, right in PAGES.items():
        if name in AT_ONCE and right in given:
            continue  # others see what these do
        url = address(name, scene)
        answer = client.post(url) if name in POSTED else client.get(url)
        expected = {200, 204, 302, 404} if right in given else {403}
        if answer.status_code not in expected:
            wrong.append((url, answer.status_code))
    assert wrong == []


ROWS = {
    "messaging_phonenumber_resume_number": "paused",
    "messaging_outboundmessage_cancel_one": "queued",
    "messaging_outboundmessage_restore_one": "discarded",
    "test-sent": "messaging_outboundmessage",
    "test-now": "messaging_outboundmessage",
}


def address(name: str, scene: dict[str, Model]) -> str:
    """Return the address of a page by name, of the row that fits it."""
    place = {"test": "console", "dashboard": "console", "dlq-report": "alerts"}
    space = place.get(name, place.get(name.split("-")[0], "admin"))
    row = scene.get(ROWS.get(name, "_".join(name.split("_")[:2])))
    whole = {
        *("orgs_auditevent_export_csv", "consent_consent_export_csv", "dashboard", "dlq-report"),
        *("messaging_messagetemplate_read_again", "messaging_deadletter_causes"),
        *("messaging_deadletter_requeue_all", "messaging_deadletter_discard_all"),
        *("alerts_route_test_all", "test-message", "test-preview"),
    }
    return reverse(f"{space}:{name}", args=[] if name in whole else [row.pk])
