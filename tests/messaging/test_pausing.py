"""Pausing and resuming by clients and staff, and what a waiting message says of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from messaging import pausing
from messaging.operations import Instruction
from messaging.screening import Screened
from messaging.states import Cause, Status
from orgs.models import AuditEvent
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

STAFF = Instruction("user:1", Cause.STAFF, "Investigating.")
CLIENT = Instruction("key:x", Cause.CLIENT, "Wrong campaign.")


@pytest.fixture
def message(number):
    message = MessageFactory(phone_number=number)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    return message


def test_a_paused_number_keeps_its_messages_queued_until_it_is_resumed(provider, message):
    pausing.pause(message.phone_number, CLIENT)
    assert send_due() == 0
    pausing.resume(message.phone_number, CLIENT)
    assert send_due() == 1


def test_a_pause_committed_before_the_claim_has_its_rows_is_seen(provider, message, monkeypatch):
    real = Screened.lock

    def lock(screened, turns):
        pausing.pause(message.phone_number, CLIENT)
        return real(screened, turns)

    monkeypatch.setattr(Screened, "lock", lock)
    assert send_due() == 0
    message.refresh_from_db()
    assert (message.status, provider.sent) == (Status.QUEUED, [])


def test_a_paused_organization_leaves_the_others_alone(provider, message):
    pausing.pause(message.org, STAFF)
    other = MessageFactory(phone_number=PhoneNumberFactory())
    ConsentFactory(contact=other.contact, purpose=other.purpose)
    send_due()
    assert [outgoing.key for outgoing in provider.sent] == [str(other.pk)]


def test_pausing_twice_is_one_pause_and_one_audit_row(number):
    assert pausing.pause(number, STAFF) == pausing.pause(number, STAFF)
    assert AuditEvent.objects.filter(action="sending.paused").count() == 1


def test_a_client_cannot_end_a_pause_by_staff(number):
    pausing.pause(number, STAFF)
    assert pausing.resume(number, CLIENT) is False
    assert Hold.objects.get().cause == "paused_by_staff"


def test_staff_end_the_pauses_of_both(number):
    pausing.pause(number, CLIENT)
    pausing.pause(number, STAFF)
    assert pausing.resume(number, STAFF) is True
    assert not Hold.objects.exists()


def test_resuming_does_not_forget_what_meta_has_stopped(number):
    now = timezone.now()
    key = number.phone_number_id
    holds.place([HoldRequest("number", key, "credentials", None)], now)
    pausing.pause(number, STAFF)
    pausing.resume(number, STAFF)
    assert [hold.cause for hold in Hold.objects.all()] == ["credentials"]


def test_the_api_pauses_and_resumes_a_number(api, number, message):
    path = f"/api/v1/phone-numbers/{number.phone_number_id}"
    answer = api.post(f"{path}/pause", {"reason": "Wrong campaign."}, format="json")
    assert answer.status_code == 200
    assert answer.json()["sending"] is False
    assert answer.json()["holds"][0]["cause"] == "paused_by_client"
    shown = api.get(f"/api/v1/outbound-messages/{message.pk}").json()
    assert (shown["hold_reason"], shown["next_look_at"]) == ("paused_by_client", None)
    assert api.post(f"{path}/resume").json()["sending"] is True
    (listed,) = api.get("/api/v1/phone-numbers").json()
    assert listed["holds"] == []


def test_the_api_pauses_and_resumes_the_organization(api, number):
    assert api.get("/api/v1/sending").json() == {"paused": False, "holds": []}
    assert api.post("/api/v1/sending/pause").json()["paused"] is True
    (listed,) = api.get("/api/v1/phone-numbers").json()
    assert listed["sending"] is False
    assert api.post("/api/v1/sending/resume").json()["paused"] is False


def test_nobody_pauses_the_number_of_another_organization(client_of, number, other_org):
    path = f"/api/v1/phone-numbers/{number.phone_number_id}/pause"
    assert client_of(other_org).post(path).status_code == 404
    assert not Hold.objects.exists()


def test_pausing_needs_the_scope_manage(client_of, org, number):
    client = client_of(org, ("read", "send"))
    assert client.post("/api/v1/sending/pause").json()["code"] == "scope_required"


@pytest.mark.parametrize(
    ("page", "target"),
    [("messaging_phonenumber", "number"), ("orgs_organization", "org")],
)
def test_staff_pause_and_resume_with_a_reason(client, number, org, page, target):
    client.force_login(User.objects.create_superuser("ada", password="x"))
    chosen = {"number": number, "org": org}[target]
    url = reverse(f"admin:{page}_changelist")
    fields = {"action": "pause_selected", ACTION_CHECKBOX_NAME: [str(chosen.pk)]}
    assert b"Reason" in client.post(url, fields).content
    assert not Hold.objects.exists()
    client.post(url, {**fields, "confirmed": "yes", "reason": "Complaints."}, follow=True)
    hold = Hold.objects.get()
    assert (hold.cause, hold.detail) == ("paused_by_staff", "Complaints.")
    fields["action"] = "resume_selected"
    client.post(url, {**fields, "confirmed": "yes", "reason": "Settled."}, follow=True)
    assert not Hold.objects.exists()
    assert list(
        AuditEvent.objects.exclude(action="login.succeeded")
        .order_by("id")
        .values_list("action", "reason")
    ) == [
        ("sending.paused", "Complaints."),
        ("hold.lifted", "Settled."),
    ]


def test_a_message_that_is_due_and_free_waits_for_nothing(api, message):
    assert api.get(f"/api/v1/outbound-messages/{message.pk}").json()["hold_reason"] is None


def test_a_retry_says_when_it_goes(api, number):
    later = timezone.now() + timedelta(minutes=4)
    message = MessageFactory(phone_number=number, due_at=later, last_attempt_number=1)
    shown = api.get(f"/api/v1/outbound-messages/{message.pk}").json()
    assert shown["hold_reason"] == "retry"
    assert shown["next_look_at"] == shown["due_at"]


def test_of_several_reasons_the_longest_is_told(api, number, message):
    now = timezone.now()
    for scope, key, seconds in (
        ("number", number.phone_number_id, 60),
        ("account", number.account.waba_id, 3600),
    ):
        until = now + timedelta(seconds=seconds)
        holds.place([HoldRequest(scope, key, "throttle", until)], now)
    shown = api.get(f"/api/v1/outbound-messages/{message.pk}").json()
    assert shown["next_look_at"] > (now + timedelta(minutes=50)).isoformat()


def test_an_ended_message_waits_for_nothing(api, number):
    message = MessageFactory(phone_number=number, status=Status.DELIVERED)
    pausing.pause(number, STAFF)
    assert api.get(f"/api/v1/outbound-messages/{message.pk}").json()["hold_reason"] is None


def test_the_message_page_tells_what_it_waits_for(client, message):
    client.force_login(User.objects.create_superuser("ada", password="x"))
    pausing.pause(message.phone_number, STAFF)
    page = client.get(reverse("admin:messaging_outboundmessage_change", args=[message.pk]))
    assert b"paused by staff" in page.content
    assert b"Investigating." in page.content


def test_a_list_asks_for_the_holds_once(api, number, django_assert_max_num_queries):
    MessageFactory.create_batch(20, phone_number=number)
    api.get("/api/v1/outbound-messages")
    with django_assert_max_num_queries(5):  # with quiet hours and throttles
        api.get("/api/v1/outbound-messages")
