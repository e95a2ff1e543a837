"""Connecting a number in the console, and what its page shows and does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from messaging import circuit
from messaging.models import MetaApp, PhoneNumber
from messaging.providers.whatsapp import api
from orgs.models import AuditEvent
from ratelimit import holds
from ratelimit.holds import HoldRequest
from ratelimit.models import FailureStreak, Hold
from tests.factories.messaging import (
    BusinessAccountFactory,
    MetaAppFactory,
    PhoneNumberFactory,
)
from tests.factories.orgs import staff_user
from tests.messaging.providers.servers import answer, read_request, serving

pytestmark = [pytest.mark.django_db, pytest.mark.core]

CONNECT = reverse("admin:messaging_phonenumber_add")
NUMBER = {
    "display_phone_number": "+1 202-555-0100",
    "verified_name": "Shop",
    "quality_rating": "GREEN",
    "throughput": {"level": "STANDARD"},
    "whatsapp_business_manager_messaging_limit": "TIER_2K",
    "name": "Shop account",
    "data": [],
    "health_status": {"can_send_message": "AVAILABLE", "entities": []},
}
BLOCKED = {
    "health_status": {
        "can_send_message": "BLOCKED",
        "entities": [
            {
                "entity_type": "WABA",
                "can_send_message": "BLOCKED",
                "errors": [{"error_description": "No payment method."}],
            }
        ],
    }
}


@pytest.fixture
def meta(settings) -> Iterator[dict]:
    """Meta, which takes only the token "good"; what it tells of any object can be changed."""
    told = dict(NUMBER)

    def script(client) -> None:
        if b"bearer good" in read_request(client).lower():
            answer(client, json.dumps(told).encode())
        else:
            refusal = {"error": {"code": 190, "message": "Malformed access token secret-token"}}
            answer(client, json.dumps(refusal).encode(), status=b"401 Unauthorized")

    with serving(script) as base:
        settings.WHATSAPP_CLOUD_API_BASE_URL = base
        yield told


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def wanted(org, **changes: str) -> dict:
    return {
        "org": org.pk,
        "phone_number_id": "200000000000777",
        "waba_id": "100000000000777",
        "app_id": "300000000000777",
        "access_token": "good",
        "app_secret": "app-secret",
        "verify_token": "verify-token",
        **changes,
    }


class TestConnecting:
    def test_a_wrong_token_is_told_on_the_form_and_nothing_is_saved(self, client, staff, org, meta):
        page = client.post(CONNECT, wanted(org, access_token="secret-token")).content.decode()
        assert "error 190: the access token is wrong, expired or withdrawn" in page
        assert not {"secret-token", "app-secret", "verify-token"} & set(page.split('"'))
        assert "secret-token" not in page
        assert not PhoneNumber.objects.exists()
        assert not MetaApp.objects.exists()
        assert not AuditEvent.objects.exclude(action="login.succeeded").exists()

    def test_a_number_is_connected_with_what_meta_says_of_it(self, client, staff, org, meta):
        client.post(CONNECT, wanted(org))
        number = PhoneNumber.objects.select_related("account").get()
        assert (number.verified_name, number.quality_rating) == ("Shop", "GREEN")
        assert (number.throughput_level, number.account.portfolio_tier) == ("STANDARD", 2_000)
        assert (number.account.name, number.account.access_token) == ("Shop account", "good")
        connected = AuditEvent.objects.get(action="number.connected")
        assert connected.actor == f"user:{staff.pk}"

    def test_an_app_that_is_connected_already_keeps_its_secrets(self, client, staff, org, meta):
        app = MetaAppFactory()
        client.post(CONNECT, wanted(org, app_id=app.app_id, app_secret="", verify_token=""))
        assert PhoneNumber.objects.get().account.app == app
        assert MetaApp.objects.get().app_secret == app.app_secret

    def test_a_new_app_needs_its_secrets(self, client, staff, org, meta):
        page = client.post(CONNECT, wanted(org, app_secret="")).content.decode()
        assert "Needed, because this app is not among yours yet." in page
        assert not PhoneNumber.objects.exists()

    def test_another_organisations_number_is_not_taken(
        self, client, staff, org, other_org, number, meta
    ):
        page = client.post(
            CONNECT, wanted(other_org, phone_number_id=number.phone_number_id)
        ).content.decode()
        assert "belongs to another organisation" in page

    def test_whoever_may_not_change_apps_does_not_change_one_by_connecting(self, client, org, meta):
        app = MetaAppFactory()
        client.force_login(staff_user("add_phonenumber"))
        page = client.post(CONNECT, wanted(org, app_id=app.app_id)).content.decode()
        assert "you may not change it" in page
        assert MetaApp.objects.get().app_secret == app.app_secret

    def test_another_organisations_app_is_used_by_whoever_knows_its_secret(
        self, client, org, other_org, meta
    ):
        app = BusinessAccountFactory(org=other_org).app
        client.force_login(staff_user("add_phonenumber", orgs=(org,)))
        page = client.post(CONNECT, wanted(org, app_id=app.app_id, app_secret="")).content.decode()
        assert "Needed, because this app is not among yours yet." in page
        assert not PhoneNumber.objects.exists()
        known = {"app_id": app.app_id, "app_secret": app.app_secret, "verify_token": ""}
        client.post(CONNECT, wanted(org, **known))
        assert PhoneNumber.objects.get().account.app == app

    def test_an_app_of_theirs_needs_no_secret(self, client, org, meta):
        app = BusinessAccountFactory(org=org).app
        client.force_login(staff_user("add_phonenumber", orgs=(org,)))
        client.post(CONNECT, wanted(org, app_id=app.app_id, app_secret="", verify_token=""))
        assert PhoneNumber.objects.get().account.app == app

    def test_a_secret_that_changes_while_meta_is_asked_stays_changed(
        self, client, staff, org, meta, monkeypatch
    ):
        app = MetaAppFactory()
        real = api.fetch_phone_number

        def meanwhile(*arguments: str):
            MetaApp.objects.filter(pk=app.pk).update(app_secret="rotated")
            return real(*arguments)

        monkeypatch.setattr(api, "fetch_phone_number", meanwhile)
        client.post(CONNECT, wanted(org, app_id=app.app_id, app_secret="", verify_token=""))
        assert PhoneNumber.objects.exists()
        assert MetaApp.objects.get().app_secret == "rotated"


@pytest.fixture
def page_url(number) -> str:
    return reverse("admin:messaging_phonenumber_change", args=[number.pk])


def stop(number, cause: str) -> None:
    key = number.phone_number_id
    request = HoldRequest("number", key, cause, None, org_id=number.org_id, detail="Told so.")
    holds.place([request], timezone.now())


class TestThePageOfANumber:
    def test_it_shows_what_holds_the_number_and_who_did_what(self, client, staff, number, page_url):
        stop(number, Hold.Cause.BILLING)
        reverse_pause = reverse("admin:messaging_phonenumber_pause_number", args=[number.pk])
        client.post(reverse_pause, {"confirmed": "yes", "reason": "checking the shop"})
        page = client.get(page_url).content.decode()
        for text in ("Payment problem", "Told so.", "Paused by staff", "checking the shop"):
            assert text in page

    def test_pausing_wants_a_reason_and_resuming_ends_only_the_pause(
        self, client, staff, number, page_url
    ):
        stop(number, Hold.Cause.BILLING)
        pause, resume = (
            reverse(f"admin:messaging_phonenumber_{verb}_number", args=[number.pk])
            for verb in ("pause", "resume")
        )
        client.get(pause)
        client.post(pause, {"confirmed": "yes", "reason": " "})
        assert Hold.objects.count() == 1
        client.post(pause, {"confirmed": "yes", "reason": "r"})
        assert Hold.objects.filter(cause="paused_by_staff").exists()
        client.post(resume, {"confirmed": "yes", "reason": "r"})
        assert Hold.objects.get().cause == Hold.Cause.BILLING

    def test_asking_meta_lifts_a_stop_or_says_why_not(self, client, staff, number, meta, page_url):
        ask = reverse("admin:messaging_phonenumber_ask_meta", args=[number.pk])
        number.account.access_token = "good"
        number.account.save()
        stop(number, Hold.Cause.BILLING)
        stop(number, Hold.Cause.PAUSED_BY_STAFF)
        meta |= BLOCKED
        assert 'id="health"' not in client.get(page_url).content.decode()
        assert "No payment method." in client.post(ask, follow=True).content.decode()
        # The message above is seen once; what Meta said stays.
        later = client.get(page_url).content.decode()
        assert "It may not send. WABA blocked. No payment method." in later
        assert Hold.objects.get(cause="billing").detail == "WABA blocked. No payment method."
        meta |= NUMBER
        client.post(ask)
        assert Hold.objects.get().cause == Hold.Cause.PAUSED_BY_STAFF
        assert AuditEvent.objects.get(action="hold.lifted").actor == f"user:{staff.pk}"

    def test_looking_asks_nobody(self, client, staff, number):
        ask = reverse("admin:messaging_phonenumber_ask_meta", args=[number.pk])
        assert client.get(ask).status_code == 405

    def test_a_circuit_is_closed_with_its_count_forgotten(self, client, staff, number, page_url):
        url = reverse("admin:messaging_phonenumber_close_circuit", args=[number.pk])
        assert "Close circuit" not in client.get(page_url).content.decode()
        app_id = number.account.app.app_id
        FailureStreak.objects.create(app_key=app_id, messages=["1"], began_at=timezone.now())
        request = HoldRequest("app", app_id, circuit.UNAVAILABLE, None)
        holds.place([request], timezone.now())
        assert "Close circuit" in client.get(page_url).content.decode()
        client.post(url, {"confirmed": "yes", "reason": "Meta is back"})
        assert not Hold.objects.exists()
        assert not FailureStreak.objects.exists()
        assert AuditEvent.objects.get(action="hold.lifted").reason == "Meta is back"

    def test_that_meta_does_not_answer_is_kept_too(self, client, staff, number, meta, page_url):
        number.account.access_token = "withdrawn"
        number.account.save()
        client.post(reverse("admin:messaging_phonenumber_ask_meta", args=[number.pk]))
        assert "Meta did not tell: error 190" in PhoneNumber.objects.get().health_said

    @pytest.mark.parametrize("is_shared", [False, True])
    def test_whoever_is_limited_closes_the_circuit_of_an_app_that_is_theirs_alone(
        self, client, org, other_org, number, page_url, is_shared
    ):
        app = number.account.app
        PhoneNumberFactory(org=org, account__app=app)
        if is_shared:
            PhoneNumberFactory(org=other_org, account__app=app)
        request = HoldRequest("app", app.app_id, circuit.UNAVAILABLE, None)
        holds.place([request], timezone.now())
        client.force_login(staff_user("view_phonenumber", "delete_hold", orgs=(org,)))
        assert ("Close circuit" in client.get(page_url).content.decode()) is not is_shared
        url = reverse("admin:messaging_phonenumber_close_circuit", args=[number.pk])
        answer = client.post(url, {"confirmed": "yes", "reason": "Meta is back"})
        assert answer.status_code == (403 if is_shared else 302)
        assert Hold.objects.exists() is is_shared

    def test_its_organisation_and_account_stay(self, client, staff, number, other_org, page_url):
        fields = {"messages_per_second": 20, "is_active": "on", "org": other_org.pk, "reason": "r"}
        client.post(page_url, fields)
        fresh = PhoneNumber.objects.get()
        assert (fresh.messages_per_second, fresh.org_id) == (20, number.org_id)

    def test_a_change_wants_a_reason_and_is_audited_with_what_was_before(
        self, client, staff, number, page_url
    ):
        fields = {"messages_per_second": 20}  # and is_active no more
        assert "Say why" in client.post(page_url, fields).content.decode()
        assert PhoneNumber.objects.get().is_active
        client.post(page_url, {**fields, "reason": "the shop closes"})
        changed = AuditEvent.objects.get(action="phonenumber.changed")
        assert changed.before == {"messages_per_second": 1000, "is_active": True}
        assert changed.after == {"messages_per_second": 20, "is_active": False}
        assert (changed.reason, changed.org) == ("the shop closes", number.org)
        page = client.get(page_url).content.decode()
        assert "is active True → False, messages per second 1000 → 20" in page
        assert "the shop closes" in page

    def test_whoever_may_only_look_is_not_asked_why(self, client, org, page_url):
        client.force_login(staff_user("view_phonenumber", orgs=(org,)))
        assert "Reason" not in client.get(page_url).content.decode()
