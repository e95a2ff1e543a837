"""The console: what staff see, find and do, through Django's test client."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from consent import taking
from consent.models import Consent
from messaging import connect
from messaging.admin.accounts import BusinessAccountForm
from messaging.models import BusinessAccount, MessageEvent, MetaApp, OutboundMessage
from messaging.providers.whatsapp.api import ApiError
from messaging.states import Status
from orgs.models import AuditEvent
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import FailureStreak, Hold
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import AttemptFactory, MessageFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

YES = {"confirmed": "yes", "reason": "r"}

MESSAGES = reverse("admin:messaging_outboundmessage_changelist")
DEAD = reverse("admin:messaging_deadletter_changelist")


@pytest.fixture
def staff(client: Client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def failed(number) -> OutboundMessage:
    message = MessageFactory(
        phone_number=number,
        status=Status.FAILED,
        error_code="131026",
        attempt_count=5,
        contact__phone="+12025550123",
    )
    AttemptFactory(message=message, provider_message_id="wamid.abc")
    return message


def act(client: Client, url: str, name: str, *messages: OutboundMessage, **fields: str):
    chosen = {"action": name, ACTION_CHECKBOX_NAME: [str(m.pk) for m in messages]}
    return client.post(url, {**chosen, **fields}, follow=True)


PAGES = [
    "messaging_outboundmessage",
    "messaging_deadletter",
    "messaging_bulkoperation",
    "messaging_discard",
    "messaging_webhookdelivery",
    "messaging_phonenumber",
    "messaging_businessaccount",
    "messaging_metaapp",
    "messaging_messagetemplate",
    "messaging_providernotice",
    "ratelimit_hold",
    "consent_contact",
    "consent_consent",
    "consent_consentpolicy",
    "consent_consentimport",
    "orgs_organization",
    "orgs_apikey",
    "orgs_auditevent",
    "auth_user",
    "auth_group",
    "django_celery_beat_periodictask",
    "django_celery_beat_intervalschedule",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_list_opens_and_searches(client, staff, failed, page):
    ConsentFactory(contact=failed.contact)
    url = reverse(f"admin:{page}_changelist")
    assert client.get(url).status_code == 200
    assert client.get(url, {"q": "something"}).status_code == 200


@pytest.mark.parametrize("page", [MESSAGES, DEAD, reverse("admin:consent_contact_changelist")])
def test_no_list_shows_a_whole_phone_number(client, staff, failed, page):
    html = client.get(page).content.decode()
    assert "+1202•••0123" in html
    assert "2025550123" not in html


def test_the_message_page_shows_attempts_timeline_and_advice(client, staff, failed):
    MessageEvent.objects.create(
        message=failed,
        org=failed.org,
        at=timezone.now(),
        recorded_at=timezone.now(),
        kind="failed",
        cause="receipt",
    )
    url = reverse("admin:messaging_outboundmessage_change", args=[failed.pk])
    html = client.get(url).content.decode()
    assert "They may have no WhatsApp" in html
    assert ">Failed<" in html
    assert "Status from the provider" in html
    assert "2025550123" not in html


@pytest.mark.parametrize(
    "term", ["{pk}", "wamid.abc", "+12025550123", "+1 202 555 0123", "order 7"]
)
def test_a_message_is_found_by_what_staff_have_at_hand(client, staff, failed, number, term):
    OutboundMessage.objects.filter(pk=failed.pk).update(reference="order 7")
    MessageFactory(phone_number=number)
    answer = client.get(MESSAGES, {"q": term.format(pk=failed.pk)})
    assert [row.pk for row in answer.context["cl"].result_list] == [failed.pk]


def test_a_part_of_a_phone_number_finds_nothing(client, staff, failed):
    answer = client.get(MESSAGES, {"q": "+1202"})
    assert list(answer.context["cl"].result_list) == []


def test_the_dead_letter_queue_lists_failed_messages_only(client, staff, failed, number):
    MessageFactory(phone_number=number)
    answer = client.get(DEAD)
    assert [row.pk for row in answer.context["cl"].result_list] == [failed.pk]


class TestRequeue:
    def test_it_asks_for_a_reason_first(self, client, staff, failed):
        page = act(client, DEAD, "requeue_selected", failed)
        assert "Reason (kept in the audit trail)" in page.content.decode()
        assert "Requeue 1 message(s)</h1>" in page.content.decode()
        failed.refresh_from_db()
        assert failed.status == Status.FAILED

    def test_without_a_reason_nothing_happens(self, client, staff, failed):
        page = act(client, DEAD, "requeue_selected", failed, confirmed="yes", reason=" ")
        assert "Say why" in page.content.decode()
        failed.refresh_from_db()
        assert failed.status == Status.FAILED

    def test_it_requeues_and_leaves_an_audit_row(self, client, staff, failed):
        page = act(client, DEAD, "requeue_selected", failed, confirmed="yes", reason="fixed")
        assert "1 message(s) requeued." in page.content.decode()
        failed.refresh_from_db()
        assert (failed.status, failed.max_attempts) == (Status.QUEUED, 10)
        audit = AuditEvent.objects.get(action="message.requeued")
        assert (audit.actor, audit.reason) == (f"user:{staff.pk}", "fixed")
        assert MessageEvent.objects.get(message=failed).actor == f"user:{staff.pk}"

    def test_twice_requeues_once(self, client, staff, failed):
        for _ in range(2):
            act(client, MESSAGES, "requeue_selected", failed, confirmed="yes", reason="x")
        assert AuditEvent.objects.filter(action="message.requeued").count() == 1

    def test_the_message_page_has_its_own_button(self, client, staff, failed):
        url = reverse("admin:messaging_outboundmessage_requeue_one", args=[failed.pk])
        page = reverse("admin:messaging_outboundmessage_change", args=[failed.pk])
        assert url in client.get(page).content.decode()
        client.post(url, {"confirmed": "yes", "reason": "one"})
        failed.refresh_from_db()
        assert failed.status == Status.QUEUED
        assert url not in client.get(page).content.decode()

    def test_the_button_alone_changes_nothing(self, client, staff, failed):
        url = reverse("admin:messaging_outboundmessage_requeue_one", args=[failed.pk])
        client.get(url, {"confirmed": "yes", "reason": "x"})
        failed.refresh_from_db()
        assert failed.status == Status.FAILED

    def test_who_may_only_look_cannot_act(self, client, failed):
        viewer = staff_user("view_outboundmessage")
        client.force_login(viewer)
        assert client.get(DEAD).status_code == 200
        act(client, MESSAGES, "requeue_selected", failed, confirmed="yes", reason="x")
        url = reverse("admin:messaging_outboundmessage_requeue_one", args=[failed.pk])
        assert client.post(url, {"confirmed": "yes", "reason": "x"}).status_code == 403
        failed.refresh_from_db()
        assert failed.status == Status.FAILED


def test_cancel_withdraws_queued_messages_only(client, staff, failed, number):
    queued = MessageFactory(phone_number=number)
    page = act(
        client, MESSAGES, "cancel_selected", queued, failed, confirmed="yes", reason="wrong list"
    )
    assert "1 message(s) cancelled. 1 left as they were." in page.content.decode()
    queued.refresh_from_db()
    assert (queued.status, queued.error_code) == (Status.CANCELLED, "CANCELLED_BY_STAFF")


def test_messages_cannot_be_edited_or_deleted_by_hand(client, staff, failed):
    page = reverse("admin:messaging_outboundmessage_change", args=[failed.pk])
    client.post(page, {"status": "DELIVERED"})
    failed.refresh_from_db()
    assert failed.status == Status.FAILED
    delete = reverse("admin:messaging_outboundmessage_delete", args=[failed.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403


def test_a_hold_is_lifted_and_audited(client, staff, number):
    now = timezone.now()
    until = now + timedelta(hours=1)
    holds.place([HoldRequest("number", number.phone_number_id, "throttle", until)], now)
    hold = Hold.objects.get()
    url = reverse("admin:ratelimit_hold_changelist")
    chosen = {"action": "lift_selected", ACTION_CHECKBOX_NAME: [hold.pk]}
    client.post(url, chosen)
    assert Hold.objects.exists()
    client.post(url, {**chosen, "confirmed": "yes", "reason": "all is well"})
    assert not Hold.objects.exists()
    assert AuditEvent.objects.get(action="hold.lifted").reason == "all is well"


def test_a_circuit_lifted_among_the_holds_begins_anew_too(client, staff, number):
    now, app = timezone.now(), number.account.app.app_id
    FailureStreak.objects.create(app_key=app, messages=["a", "b", "c"], began_at=now)
    holds.place([HoldRequest("app", app, Hold.Cause.PROVIDER_UNAVAILABLE, None)], now)
    fields = {"action": "lift_selected", ACTION_CHECKBOX_NAME: [Hold.objects.get().pk]}
    confirmed = {**fields, "confirmed": "yes", "reason": "Meta is back"}
    client.post(reverse("admin:ratelimit_hold_changelist"), confirmed)
    assert (Hold.objects.count(), FailureStreak.objects.count()) == (0, 0)


class TestSecrets:
    def test_stored_secrets_are_never_shown_and_kept_when_left_empty(self, client, staff, number):
        app = number.account.app
        url = reverse("admin:messaging_metaapp_change", args=[app.pk])
        assert app.app_secret not in client.get(url).content.decode()
        client.post(url, {"app_id": app.app_id, "name": "Renamed", "shared": "on"})
        fresh = MetaApp.objects.get(pk=app.pk)
        assert (fresh.name, fresh.app_secret) == ("Renamed", app.app_secret)

    def replace_token(self, client, account, token):
        url = reverse("admin:messaging_businessaccount_change", args=[account.pk])
        fields = {
            "org": account.org_id,
            "app": account.app_id,
            "waba_id": account.waba_id,
            "portfolio_tier": account.portfolio_tier,
        }
        return client.post(url, {**fields, "access_token": token})

    def test_a_token_meta_refuses_does_not_replace_the_present_one(
        self, client, staff, number, monkeypatch
    ):
        def refuse(waba_id: str, access_token: str) -> str:
            raise ApiError("error 190: it has expired.")

        monkeypatch.setattr(connect, "check_token", refuse)
        page = self.replace_token(client, number.account, "expired-token").content.decode()
        assert "Meta refused it: error 190" in page
        assert "expired-token" not in page
        assert BusinessAccount.objects.get().access_token == number.account.access_token

    def test_a_new_token_is_taken_and_audited_without_its_value(
        self, client, staff, number, monkeypatch
    ):
        account = number.account
        monkeypatch.setattr(connect, "check_token", lambda _waba_id, _token: "Shop")
        self.replace_token(client, account, "fresh-token")
        assert BusinessAccount.objects.get(pk=account.pk).access_token == "fresh-token"
        audit = AuditEvent.objects.get(action="businessaccount.changed")
        assert "fresh-token" not in str(audit.after)
        assert audit.after == {"access_token": "replaced"}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_meta_is_asked_about_a_token_in_no_transaction(client, number, monkeypatch):
    client.force_login(User.objects.create_superuser("ada", password="x"))
    account, asked = number.account, []

    def look(waba_id: str, access_token: str) -> str:
        asked.append((waba_id, access_token, connection.in_atomic_block, connection.connection))
        return "Shop"

    monkeypatch.setattr(connect, "check_token", look)
    url = reverse("admin:messaging_businessaccount_change", args=[account.pk])
    fields = {name: getattr(account, name) for name in ("waba_id", "portfolio_tier")}
    answer = client.post(
        url,
        {
            **fields,
            "org": account.org_id,
            "app": account.app_id,
            "access_token": "fresh-token",
        },
    )
    assert answer.status_code == 302
    assert asked == [(account.waba_id, "fresh-token", False, None)]
    assert BusinessAccount.objects.get().access_token == "fresh-token"


def test_a_token_meta_was_not_asked_about_is_not_taken(number):
    form = BusinessAccountForm(
        {
            "org": number.org_id,
            "app": number.account.app_id,
            "waba_id": number.account.waba_id,
            "portfolio_tier": 0,
            "access_token": "unknown",
        },
        instance=number.account,
    )
    form.told = {}
    assert "It was not tried with Meta" in str(form.errors["access_token"])


def test_consents_are_revoked_with_an_audit_row(client, staff, failed):
    consent = ConsentFactory(contact=failed.contact)
    url = reverse("admin:consent_consent_changelist")
    chosen = {"action": "revoke_selected", ACTION_CHECKBOX_NAME: [consent.pk]}
    for unconfirmed in ({}, {"reason": "asked by phone"}, {"confirmed": "yes", "reason": " "}):
        html = client.post(url, {**chosen, **unconfirmed}).content.decode()
        assert "Revoke 1 consent(s)" in html
        assert "Reason" in html
    consent.refresh_from_db()
    assert consent.status == "GRANTED"  # nobody has confirmed it and said why
    client.post(url, {**chosen, "confirmed": "yes", "reason": "asked by phone"})
    assert AuditEvent.objects.get(action="consent.revoked").reason == "asked by phone"
    consent.refresh_from_db()
    assert (consent.status, consent.source) == ("REVOKED", "console")
    assert AuditEvent.objects.filter(action="consent.revoked").count() == 1


def test_a_long_list_of_consents_is_revoked_slice_by_slice(client, staff, failed, monkeypatch):
    monkeypatch.setattr(taking, "MOST", 2)
    many = [ConsentFactory(contact=ContactFactory(org=failed.org)) for _ in range(5)]
    chosen = {"action": "revoke_selected", ACTION_CHECKBOX_NAME: [row.pk for row in many]}
    client.post(reverse("admin:consent_consent_changelist"), {**chosen, **YES})
    assert (
        Consent.objects.filter(pk__in=chosen[ACTION_CHECKBOX_NAME], status="REVOKED").count() == 5
    )


def test_all_that_match_are_revoked_only_after_their_number_was_shown(client, staff, failed):
    people = [ContactFactory(org=failed.org) for _ in range(4)]
    for person in people[:3]:
        ConsentFactory(contact=person, purpose="marketing")
    other = ConsentFactory(contact=people[3], purpose="transactional")
    ConsentFactory(contact=people[3], purpose="marketing", status="REVOKED")
    url = f"{reverse('admin:consent_consent_changelist')}?purpose__exact=marketing"
    first = Consent.objects.filter(purpose="marketing").first()
    chosen = {
        "action": "revoke_selected",
        ACTION_CHECKBOX_NAME: [first.pk],
        "select_across": "1",
    }
    html = client.post(url, chosen).content.decode()
    assert "Revoke 3 consent(s)" in html
    assert "All that match the filter" in html
    assert '<input type="hidden" name="select_across" value="1">' in html
    assert Consent.objects.filter(status="REVOKED").count() == 1
    client.post(url, {**chosen, **YES})
    assert not Consent.objects.filter(purpose="marketing").exclude(status="REVOKED").exists()
    other.refresh_from_db()
    assert other.status == "GRANTED"
    assert AuditEvent.objects.filter(action="consent.revoked", reason="r").count() == 3


def test_the_console_wants_a_login(client):
    assert client.get(MESSAGES).status_code == 302


def test_logging_in_leads_to_the_console(client):
    User.objects.create_superuser("ada", password="secret")
    answer = client.post(reverse("admin:login"), {"username": "ada", "password": "secret"})
    assert answer.headers["Location"] == reverse("admin:index")
