"""An installation with something on every page of the console, and where the pages are.

What a table cannot show by a single row (states, causes, kinds) has one of each.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, Group
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from consent.models import ConsentImport, ConsentPolicy, ImportProblem
from console.testing.sending import REFERENCE
from messaging import operations, pausing
from messaging.dead_letters.selection import Selection
from messaging.models import (
    BulkOperation,
    Heartbeat,
    OutboundMessage,
    PhoneNumber,
    ProviderNotice,
    WebhookDelivery,
)
from messaging.operations import Instruction
from messaging.states import Cause, Status
from orgs import audit, keys, roles
from orgs.models import AuditEvent, Membership, Organization
from ratelimit import quota
from ratelimit.models import Hold
from tests.browser import scene_alerts
from tests.browser.pages import address
from tests.factories.messaging import (
    AttemptFactory,
    DeliveryFactory,
    MessageFactory,
    PhoneNumberFactory,
    TemplateFactory,
)

CODES = ("131026", "131026", "131026", "131049", "132000", "131053", "DELIVERY_UNKNOWN")


@pytest.fixture
def scene(number: PhoneNumber, staff: AbstractBaseUser, client_of) -> dict[str, str]:
    """Fill the tables; return the name and the address of every page there is to look at."""
    by = Instruction(f"user:{staff.pk}", Cause.STAFF, "the customer asked for it")
    _name(number, "+1 202-555-0100", "Acme Shop")
    template = TemplateFactory(account=number.account)
    return {
        **_of_tables(staff),
        **_of_messages(number, client_of(number.org), by),
        **_of_numbers(number, by),
        **scene_alerts.fill(number, staff),
        **_of_people(number, staff),
        **_of_trust(number.org, staff),
        "template": address("messaging_messagetemplate_change", template.pk),
        "test-message-written": f"{reverse('console:test-message')}"
        f"?number={number.pk}&template={template.pk}",
    }


def _name(number: PhoneNumber, shown: str, verified: str, quality: str = "GREEN") -> None:
    number.display_phone_number, number.verified_name = shown, verified
    number.quality_rating = quality
    number.save()


def _of_tables(staff: AbstractBaseUser) -> dict[str, str]:
    """Return the list and the form for a new row of each table that has one."""
    request = RequestFactory().get("/")
    request.user = staff
    found = {
        "dashboard": reverse("admin:index"),
        "test-message": reverse("console:test-message"),
        "password": reverse("admin:password_change"),
        "second-factor": reverse("second_factor_set_up"),
        "dead-letter-report": reverse("alerts:dlq-report"),
        "dead-letter-causes": address("messaging_deadletter_causes"),
        "requeue-all": address("messaging_deadletter_requeue_all"),
        "discard-all": f"{address('messaging_deadletter_discard_all')}?error=131026",
        "read-templates": address("messaging_messagetemplate_read_again"),
        "test-alert": address("alerts_route_test_all"),
        "nothing-matches": f"{address('messaging_phonenumber_changelist')}?q=nothing+of+the+kind",
    }
    for model, model_admin in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        found[f"list-{name}"] = address(f"{name}_changelist")
        if model_admin.has_add_permission(request):
            found[f"add-{name}"] = address(f"{name}_add")
    return found


def _of_messages(number: PhoneNumber, client, by: Instruction) -> dict[str, str]:
    person = {"phone": "+12025550123", "purpose": "transactional", "proof": {"text": "Signed form"}}
    client.post("/api/v1/consents", person, format="json")
    queued = _sent(client, "order-1042")
    _failed = [_fail(number, code, age) for age, code in enumerate(CODES)]
    _discarded = [_fail(number, "131026", 0) for _ in range(3)]
    operations.discard([message.pk for message in _discarded], by)
    for minutes in range(30):
        MessageFactory(
            phone_number=number,
            status=Status.DELIVERED,
            at=timezone.now() - timedelta(minutes=minutes),
            reference=f"order-{minutes}",
        )
    running = _operation(by, state="RUNNING", counts={"requeued": 371, "no_consent": 29})
    stopped = _operation(by, state="STOPPED", counts={"requeued": 80})
    failed = _failed[0]
    tried = MessageFactory(phone_number=number, reference=REFERENCE, status=Status.SENT)
    message = "messaging_outboundmessage_{}".format
    return {
        "message-queued": f"{address(message('change'), queued.pk)}?explain=1",
        "message-failed": f"{address(message('change'), failed.pk)}?explain=1",
        "message-discarded": address(message("change"), _discarded[0].pk),
        "message-requeue": address(message("requeue_one"), failed.pk),
        "message-cancel": address(message("cancel_one"), queued.pk),
        "message-recipient": address(message("show_recipient"), failed.pk),
        "test-message-sent": reverse("console:test-sent", args=[tried.pk]),
        "operation-running": address("messaging_bulkoperation_change", running.pk),
        "operation-stopped": address("messaging_bulkoperation_change", stopped.pk),
        "contact": address("consent_contact_change", queued.contact_id),
        "contact-decide": address("consent_contact_record_decision", queued.contact_id),
        "contact-erase": address("consent_contact_erase", queued.contact_id),
        "consent": address("consent_consent_change", queued.contact.consents.get().pk),
        "consent-proofs": address("consent_consent_show_proofs", queued.contact.consents.get().pk),
    }


def _sent(client, reference: str) -> OutboundMessage:
    texts = [{"type": "text", "text": "Ana"}, {"type": "text", "text": "#1042"}]
    template = {
        "name": "order_update",
        "language": "en_US",
        "components": [{"type": "body", "parameters": texts}],
    }
    wanted = {
        "to": "+12025550123",
        "type": "template",
        "category": "utility",
        "template": template,
        "reference": reference,
    }
    key = {"HTTP_IDEMPOTENCY_KEY": reference}
    answer = client.post("/api/v1/outbound-messages", wanted, format="json", **key)
    assert answer.status_code == 201, answer.content
    return OutboundMessage.objects.get(pk=answer.json()["id"])


def _fail(number: PhoneNumber, code: str, days: int) -> OutboundMessage:
    at = timezone.now() - timedelta(days=days, minutes=5)
    message = MessageFactory(
        phone_number=number,
        status=Status.FAILED,
        error_code=code,
        error_message="(#100) As Meta says it.",
        attempt_count=1,
        last_attempt_number=1,
        at=at,
        expires_at=timezone.now() + timedelta(days=1),
    )
    AttemptFactory(
        message=message,
        outcome="REJECTED",
        charged=True,
        started_at=at,
        finished_at=at,
        duration_ms=212,
        http_status=400,
        error_code=code,
        error_message="(#100) As Meta says it.",
        trace_id="AXTqwAOEkOWw0TcZg_F9Lwg",
    )
    return message


def _operation(by: Instruction, **fields: object) -> BulkOperation:
    now = timezone.now()
    return BulkOperation.objects.create(
        kind=BulkOperation.Kind.REQUEUE,
        filter=Selection(error="131026", campaign=False).as_texts(),
        actor=by.actor,
        cause=by.cause,
        reason=by.reason,
        rate_per_minute=600,
        matched=1_000,
        next_at=now,
        created_at=now,
        updated_at=now,
        **fields,
    )


def _of_numbers(number: PhoneNumber, by: Instruction) -> dict[str, str]:
    now = timezone.now()
    paused = PhoneNumberFactory(org=number.org, account=number.account)
    _name(paused, "+1 202-555-0101", "Acme Service", quality="YELLOW")
    broken = PhoneNumberFactory(org=number.org)
    _name(broken, "+1 202-555-0102", "Acme Late", quality="RED")
    pausing.pause(paused, by)
    Hold.objects.create(
        scope=Hold.Scope.APP,
        key=broken.account.app.app_id,
        cause=Hold.Cause.PROVIDER_UNAVAILABLE,
        code="131016",
        detail="12 calls failed one after the other.",
        opened_at=now - timedelta(minutes=4),
        probe_at=now + timedelta(minutes=1),
        probes=2,
    )
    hold = Hold.objects.create(
        org=number.org,
        scope=Hold.Scope.TEMPLATE,
        key=f"{number.account.waba_id}/order_update/en_US",
        cause=Hold.Cause.TEMPLATE,
        code="PAUSED",
        detail="Meta has the template as PAUSED.",
        opened_at=now,
    )
    quota.change(number.org, 1_000, actor=by.actor, reason="begins small")
    told = [
        _notice(number, *words)
        for words in (
            ("phone_number_quality_update", "DOWNGRADE", str(number), "2,000 a day"),
            ("message_template_status_update", "PAUSED", "order_update (en_US)", "for 3 hours"),
            ("account_update", "ACCOUNT_RESTRICTION", "", "No new conversations"),
        )
    ]
    done = DeliveryFactory(
        app=number.account.app, events=[number.org_id, number.org_id], event_count=2
    )
    wrong = DeliveryFactory(
        app=number.account.app, status=WebhookDelivery.Status.ERROR, error="Not JSON at line 1"
    )
    page = "messaging_phonenumber_{}".format
    return {
        "number": address(page("change"), number.pk),
        "number-paused": address(page("change"), paused.pk),
        "number-circuit": address(page("change"), broken.pk),
        "number-pause": address(page("pause_number"), number.pk),
        "number-close-circuit": address(page("close_circuit"), broken.pk),
        "account": address("messaging_businessaccount_change", number.account_id),
        "meta-app": address("messaging_metaapp_change", number.account.app_id),
        "hold": address("ratelimit_hold_change", hold.pk),
        "told-by-meta": address("messaging_providernotice_change", told[0].pk),
        "webhook": address("messaging_webhookdelivery_change", done.pk),
        "webhook-wrong": address("messaging_webhookdelivery_change", wrong.pk),
        "webhook-body": address("messaging_webhookdelivery_show_body", done.pk),
    }


def _notice(number: PhoneNumber, topic: str, event: str, subject: str, detail: str):
    now = timezone.now()
    return ProviderNotice.objects.create(
        org=number.org,
        account=number.account,
        topic=topic,
        event=event,
        subject=subject,
        detail=detail,
        occurred_at=now,
        recorded_at=now,
        digest=topic,
    )


def _of_people(number: PhoneNumber, staff: AbstractBaseUser) -> dict[str, str]:
    now = timezone.now()
    policy = ConsentPolicy.objects.create(
        org=number.org,
        stop_words=["STOP", "PARE"],
        quiet_from="21:00",
        quiet_until="08:00",
        time_zone="America/Sao_Paulo",
    )
    imports = {
        state: ConsentImport.objects.create(
            org=number.org,
            actor=f"user:{staff.pk}",
            state=state,
            columns=["phone", "purpose"],
            rows=1_204,
            done_rows=1_204 if state != "RECORDING" else 400,
            preview={"granted": 1_100, "unchanged": 80, "opted_out": 20, "wrong": 4},
            result={"granted": 1_100} if state == "DONE" else {},
            created_at=now,
            updated_at=now,
        )
        for state in ("DONE", "READY", "RECORDING")
    }
    for line in range(4):
        ImportProblem.objects.create(
            of=imports["READY"],
            line=17 + line,
            column="phone",
            code="invalid_phone",
            detail="Not a phone number in E.164.",
        )
    ready = imports["READY"].pk
    return {
        "policy": address("consent_consentpolicy_change", policy.pk),
        "import-ready": address("consent_consentimport_change", ready),
        "import-record": address("consent_consentimport_record", ready),
        "import-discard": address("consent_consentimport_discard", ready),
        "import-recording": address("consent_consentimport_change", imports["RECORDING"].pk),
        "import-done": address("consent_consentimport_change", imports["DONE"].pk),
    }


def _of_trust(org: Organization, staff: AbstractBaseUser) -> dict[str, str]:
    roles.apply()
    bob = type(staff).objects.create_user("bob", "bob@example.org", "x", is_staff=True)
    bob.groups.set(Group.objects.filter(name=roles.OPERATOR))
    Membership.objects.create(user=bob, org=org)
    AccessAttempt.objects.create(
        username="bob",
        ip_address="192.0.2.7",
        failures_since_start=3,
        user_agent="Mozilla/5.0",
        http_accept="*/*",
        path_info="/admin/login/",
        get_data="",
        post_data="",
    )
    key, _secret = keys.issue(org, name="shop", scopes=["send", "read"], actor=f"user:{staff.pk}")
    changed = audit.Entry(
        org.pk,
        f"user:{staff.pk}",
        "org.changed",
        f"org:{org.org_id}",
        "moved to another contract",
        before={"name": "Acme", "is_active": False, "groups": ["Viewer"]},
        after={"name": "Acme Incorporated", "is_active": True, "groups": ["Viewer", "Operator"]},
    )
    audit.record([changed])
    now = timezone.now()
    for kind in Heartbeat.Kind:
        Heartbeat.objects.create(kind=kind, name="host-1:417", started_at=now, seen_at=now)
    every_minute, _ = IntervalSchedule.objects.get_or_create(every=60, period="seconds")
    task = PeriodicTask.objects.create(
        name="Cancel what expires",
        task="messaging.cancel_expired",
        description="What nobody could send in time is withdrawn.",
        interval=every_minute,
    )
    row = AuditEvent.objects.get(action="org.changed")
    return {
        "user": address("auth_user_change", bob.pk),
        "role": address("auth_group_change", Group.objects.get(name=roles.MANAGER).pk),
        "key": address("orgs_apikey_change", key.pk),
        "organisation": address("orgs_organization_change", org.pk),
        "audit": address("orgs_auditevent_change", row.pk),
        "schedule": address("django_celery_beat_periodictask_change", task.pk),
    }
