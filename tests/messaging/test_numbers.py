"""Our picture of numbers and portfolios is Meta's of the last hour, whatever order news come in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from messaging import numbers, stops, template_sync
from messaging.draining import drain
from messaging.models import BusinessAccount, PhoneNumber
from messaging.models.accounts import Tier
from orgs.models import AuditEvent
from ratelimit.models import Hold
from tests.factories.messaging import BusinessAccountFactory, PhoneNumberFactory
from tests.messaging.providers.servers import answer, read_request, serving
from tests.messaging.test_notices import change, load, number, tell

pytestmark = [pytest.mark.django_db, pytest.mark.core]

__all__ = ["number"]  # the fixture

HOUR = timedelta(hours=1)


@pytest.fixture
def meta(settings) -> Iterator[dict[str, Any]]:
    """Meta's word on any number; calls whose path holds what is under "broken" are refused."""
    told: dict[str, Any] = {
        "verified_name": "Shop",
        "quality_rating": "YELLOW",
        "throughput": {"level": "HIGH"},
        "whatsapp_business_manager_messaging_limit": "TIER_10K",
        "broken": "",
    }

    def script(client) -> None:
        line = read_request(client).split(b"\r\n", 1)[0].decode()
        is_broken = told["broken"] and told["broken"] in line
        content = json.dumps(told.get("refusal", {}) if is_broken else told).encode()
        answer(client, content, status=b"502 Bad Gateway" if is_broken else b"200 OK")

    with serving(script) as base:
        settings.WHATSAPP_CLOUD_API_BASE_URL = base
        yield told


def fresh(row):
    row.refresh_from_db()
    return row


def flagged(at: datetime, event: str = "FLAGGED", **value: Any) -> dict[str, Any]:
    told = change(
        "phone_number_quality_update", display_phone_number="15550100100", event=event, **value
    )
    told["entry"][0]["time"] = int(at.timestamp())
    return told


class TestReading:
    def test_quality_name_throughput_and_tier_are_kept(self, meta, number):
        assert numbers.read_due() == 1
        fresh(number)
        assert (number.quality_rating, number.verified_name) == ("YELLOW", "Shop")
        assert number.throughput_level == "HIGH"
        assert number.account.portfolio_tier == 10_000

    def test_what_changed_is_in_the_audit_trail_and_no_more(self, meta, number):
        numbers.read_due()
        assert set(AuditEvent.objects.values_list("action", flat=True)) == {
            "number.read",
            "tier.read",
        }
        PhoneNumber.objects.update(read_due_at=timezone.now())
        numbers.read_due()
        assert AuditEvent.objects.count() == 2

    def test_it_comes_again_after_an_hour_and_not_before(self, meta, number):
        numbers.read_due()
        assert numbers.read_due() == 0
        wait = fresh(number).read_due_at - timezone.now()
        assert HOUR - timedelta(minutes=1) < wait <= HOUR

    def test_a_field_that_is_missing_leaves_what_is_known(self, meta, number):
        PhoneNumber.objects.update(quality_rating="RED")
        BusinessAccount.objects.update(portfolio_tier=250)
        meta.clear()
        meta["broken"] = ""
        numbers.read_due()
        assert fresh(number).quality_rating == "RED"
        assert number.account.portfolio_tier == 250

    @pytest.mark.parametrize("why", ["Meta fails", "no key opens the token"])
    def test_one_that_cannot_be_read_blocks_no_other(self, meta, number, why):
        PhoneNumber.objects.update(read_due_at=timezone.now() - HOUR)
        other = PhoneNumberFactory()
        if why == "Meta fails":
            meta["broken"] = number.phone_number_id
        else:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE messaging_businessaccount SET access_token = 'x' WHERE id = %s",
                    [number.account_id],
                )
        drain(numbers.read_due)
        assert fresh(other).quality_rating == "YELLOW"
        with_quality = PhoneNumber.objects.exclude(quality_rating="")
        assert list(with_quality) == [other]

    def test_an_inactive_number_is_not_asked_for(self, meta, number):
        PhoneNumber.objects.update(is_active=False)
        assert numbers.read_due() == 0

    def test_a_tier_of_another_size_is_shown_as_it_is(self, meta, number):
        meta["whatsapp_business_manager_messaging_limit"] = "TIER_1K"
        numbers.read_due()
        number.account.refresh_from_db()
        assert Tier(number.account.portfolio_tier).label == "1,000"


class TestNews:
    def test_an_upgrade_of_the_throughput_is_known_at_once(self, client, number):
        tell(client, "phone_number_quality_update_throughput_upgrade")
        assert fresh(number).throughput_level == "HIGH"

    def test_the_number_is_read_again_soon(self, client, number):
        PhoneNumber.objects.update(read_due_at=timezone.now() + HOUR)
        tell(client, load("phone_number_name_update_rejected"))
        assert fresh(number).read_due_at < timezone.now() + timedelta(minutes=1)

    def test_a_new_tier_has_the_numbers_of_the_account_read(self, client, number):
        PhoneNumber.objects.update(read_due_at=timezone.now() + HOUR)
        tell(client, "business_capability_update_integer")
        assert fresh(number).read_due_at < timezone.now() + timedelta(minutes=1)

    def test_a_rating_that_comes_late_does_not_undo_a_newer_one(self, client, number):
        now = timezone.now()
        tell(client, flagged(now, "UNFLAGGED"))
        tell(client, flagged(now - HOUR))
        assert fresh(number).quality_rating == "GREEN"

    def test_a_rating_from_before_the_last_reading_does_not_undo_it(self, client, meta, number):
        numbers.read_due()
        tell(client, flagged(timezone.now() - HOUR))
        assert fresh(number).quality_rating == "YELLOW"

    def test_a_tier_that_comes_late_does_not_undo_a_newer_one_of_the_portfolio(
        self, client, number
    ):
        BusinessAccount.objects.update(portfolio_id="5")
        same = BusinessAccountFactory(org=number.org, app=number.account.app, portfolio_id="5")
        now = timezone.now()
        limit = "max_daily_conversations_per_business"
        tell(client, flagged(now, "UPGRADE", **{limit: "TIER_10K"}))
        tell(client, flagged(now - HOUR, "UPGRADE", **{limit: "TIER_2K"}))
        assert fresh(number.account).portfolio_tier == fresh(same).portfolio_tier == 10_000


class TestALimitOfMeta:
    """A refusal for a limit, met by asking, holds what sending would meet it with."""

    @pytest.mark.parametrize(
        ("code", "scope"), [(4, ["app"]), (80007, ["account"]), (80008, []), (190, [])]
    )
    @pytest.mark.parametrize("ask", [numbers.read_due, template_sync.sync_due, stops.probe_due])
    def test_it_pauses_what_it_names(self, meta, number, code, scope, ask):
        now = timezone.now()
        Hold.objects.create(
            scope="number",
            key=number.phone_number_id,
            cause="registration",
            opened_at=now,
            probe_at=now,
        )
        meta["broken"], meta["refusal"] = "/", {"error": {"code": code, "message": "no"}}
        assert ask() == 1
        throttles = Hold.objects.filter(cause="throttle")
        assert list(throttles.values_list("scope", flat=True)) == scope
