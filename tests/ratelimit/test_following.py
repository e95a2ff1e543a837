"""Who else must follow a limit: holds, what people see, and housekeeping."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import throttles
from messaging.models import BusinessAccount, OutboundMessage
from messaging.models.accounts import Tier
from messaging.states import Status
from messaging.waiting import Board
from ratelimit import holds, quota, tasks
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold, WhatsAppRateLimit
from tests.drive import send_due
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

QUOTA = "/api/v1/rate-limits/whatsapp/quota"


def consented(number, count: int = 1) -> list[OutboundMessage]:
    messages = [MessageFactory(phone_number=number) for _ in range(count)]
    for message in messages:
        ConsentFactory(contact=message.contact)
    return messages


def throttle(number, scope: str, key: str, org_id: int | None) -> None:
    now = timezone.now()
    later = now + timedelta(hours=1)
    holds.place([HoldRequest(scope, key, "throttle", later, org_id=org_id)], now)


def throttle_account(number) -> None:
    """As limits do when Meta throttles the only account of an organisation."""
    throttle(number, "account", number.account.waba_id, number.org_id)
    quota.throttle(number.org_id, timezone.now() + timedelta(hours=1))


def test_lifting_an_accounts_throttle_ends_that_of_the_organization(provider, number):
    throttle_account(number)
    consented(number)
    assert send_due() == 0
    holds.lift(Hold.objects.all(), actor="user:1", reason="Meta says it is over")
    assert WhatsAppRateLimit.objects.get().throttled_until is None
    assert send_due() == 1


def test_lifting_a_numbers_throttle_leaves_that_of_the_organization(number):
    throttle_account(number)
    throttle(number, "number", number.phone_number_id, number.org_id)
    holds.lift(Hold.objects.filter(scope="number"), actor="user:1", reason="x")
    assert WhatsAppRateLimit.objects.get().throttled_until is not None


def test_a_throttle_of_the_organization_without_a_hold_is_shown_on_its_messages(provider, number):
    until = timezone.now() + timedelta(hours=1)
    quota.throttle(number.org_id, until)
    (message,) = consented(number)
    assert send_due() == 0
    message.refresh_from_db()
    waiting = Board.at(timezone.now()).of(message)
    assert (message.status, waiting.reason, waiting.until) == (Status.QUEUED, "throttle", until)


def test_a_throttle_of_the_app_shows_at_every_organization_that_uses_it(
    api, number, other_org, client_of
):
    other = PhoneNumberFactory(org=other_org)
    assert other.account.app_id != number.account.app_id
    throttle(number, "app", number.account.app.app_id, None)
    assert api.get(QUOTA).json()["throttled"] is True
    assert client_of(other_org).get(QUOTA).json()["throttled"] is False
    (shown,) = throttles.by_org(timezone.now())[number.org_id]
    assert shown.scope == "Meta app"


def test_a_raised_default_lets_go_who_waited_for_the_quota(provider, number, settings):
    settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA = 1
    consented(number, 3)
    send_due()
    assert Hold.objects.get().cause == Hold.Cause.QUOTA_EXCEEDED
    tasks.tidy()
    assert Hold.objects.exists()
    settings.WHATSAPP_RATE_LIMIT_DEFAULT_QUOTA = 10
    tasks.tidy()
    assert not Hold.objects.exists()
    assert send_due() == 2


def test_every_organization_gets_its_row(org, other_org):
    tasks.tidy()
    assert set(WhatsAppRateLimit.objects.values_list("org", flat=True)) == {org.pk, other_org.pk}


def test_staff_enter_the_tier_of_a_portfolio(admin_client, number):
    account = number.account
    page = f"/admin/messaging/businessaccount/{account.pk}/change/"
    fields = {
        "org": account.org_id,
        "app": account.app_id,
        "waba_id": account.waba_id,
        "name": account.name,
        "access_token": "",
        "portfolio_id": "900000000000001",
        "portfolio_tier": Tier.TIER_2K.value,
    }
    assert b"portfolio_tier" in admin_client.get(page).content
    assert admin_client.post(page, fields).status_code == 302
    saved = BusinessAccount.objects.get(pk=account.pk)
    assert (saved.portfolio_id, saved.portfolio_tier) == ("900000000000001", 2000)
    assert saved.access_token == account.access_token
