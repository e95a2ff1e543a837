"""What Meta tells of templates, numbers and accounts, and what follows from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from messaging import metrics, receipts
from messaging.models import (
    BusinessAccount,
    MessageTemplate,
    MetaApp,
    ProviderNotice,
    WebhookEvent,
)
from ratelimit.models import Hold
from tests.factories.messaging import (
    BusinessAccountFactory,
    MessageFactory,
    MetaAppFactory,
    PhoneNumberFactory,
    TemplateFactory,
)
from tests.messaging.test_webhooks import post

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PAYLOADS = Path(__file__).parent / "payloads"
TOLD_AT = datetime.fromtimestamp(1794700020, UTC)
Result = WebhookEvent.Result


@pytest.fixture
def number(number):
    """The number and account that the payloads are about."""
    BusinessAccount.objects.filter(pk=number.account_id).update(waba_id="100000000000001")
    number.display_phone_number = "+1 555-010-0100"
    number.save()
    number.refresh_from_db()
    return number


@pytest.fixture
def template(number):
    return TemplateFactory(account=number.account)


def load(name: str) -> dict[str, Any]:
    return json.loads((PAYLOADS / f"synthetic__{name}.json").read_text())


def tell(client, payload: dict[str, Any] | str) -> list[str]:
    post(client, load(payload) if isinstance(payload, str) else payload)
    receipts.apply_pending()
    return list(WebhookEvent.objects.order_by("pk").values_list("result", flat=True))


def change(topic: str, **value: Any) -> dict[str, Any]:
    changes = [{"field": topic, "value": value}]
    return {"entry": [{"id": "100000000000001", "time": 1794700020, "changes": changes}]}


def account_update(event: str, **value: Any) -> dict[str, Any]:
    return change("account_update", event=event, **value)


class TestTimeline:
    def test_each_leaves_an_entry_with_its_words_and_time(self, client, template):
        assert tell(client, "template_status_paused") == [Result.APPLIED]
        notice = ProviderNotice.objects.get()
        assert (notice.topic, notice.event) == ("message_template_status_update", "PAUSED")
        assert notice.subject == "order_update/en_US"
        assert notice.detail == "SECOND_PAUSE · Paused again."
        assert notice.occurred_at == TOLD_AT

    def test_told_twice_it_has_one_effect(self, client, template):
        assert tell(client, "template_status_paused") == [Result.APPLIED]
        MessageTemplate.objects.update(status="APPROVED")
        assert tell(client, "template_status_paused") == [Result.APPLIED, Result.UNCHANGED]
        assert MessageTemplate.objects.get().status == "APPROVED"
        assert ProviderNotice.objects.count() == 1

    def test_another_apps_account_is_none_of_its_business(self, client, template):
        BusinessAccount.objects.filter(pk=template.account_id).update(app=MetaAppFactory())
        MetaApp.objects.exclude(pk=template.account.app_id).update(shared=False)
        assert tell(client, "account_update_disabled") == [Result.FOREIGN]
        assert not Hold.objects.exists()

    def test_an_account_we_do_not_know_is_kept_and_marked(self, client, org):
        PhoneNumberFactory(org=org)
        assert tell(client, "account_update_disabled") == [Result.FOREIGN]
        assert not ProviderNotice.objects.exists()

    @pytest.mark.parametrize(
        "name",
        sorted(
            path.stem.removeprefix("synthetic__")
            for path in PAYLOADS.glob("synthetic__*.json")
            if path.stem.split("__")[1].startswith(
                ("account_", "business_", "phone_number_", "security_", "template_")
            )
        ),
    )
    def test_every_sample_is_understood(self, client, template, name):
        assert tell(client, name) == [Result.APPLIED]
        assert ProviderNotice.objects.count() == 1

    def test_a_field_nobody_knows_is_kept_and_counted(self, client, number):
        assert tell(client, "unknown_field") == [Result.KEPT]

    @pytest.mark.parametrize(
        "told",
        [
            account_update("TELEPORTED"),
            change("account_review_update", decision="PERHAPS"),
        ],
    )
    def test_a_word_nobody_knows_is_kept_and_counted(self, client, number, told):
        before = metrics.webhook_events(Result.KEPT)._value.get()
        assert tell(client, told) == [Result.KEPT]
        assert metrics.webhook_events(Result.KEPT)._value.get() == before + 1
        assert ProviderNotice.objects.count() == 1
        assert not Hold.objects.exists()


class TestTemplates:
    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("template_status_paused", "PAUSED"),
            ("template_status_disabled", "DISABLED"),
            ("template_status_pending_deletion_null_reason", "PENDING_DELETION"),
        ],
    )
    def test_its_status_follows(self, client, template, name, status):
        tell(client, name)
        template.refresh_from_db()
        assert template.status == status

    def test_a_pause_holds_and_a_reinstatement_frees(self, client, template):
        tell(client, "template_status_paused")
        assert Hold.objects.get().scope == Hold.Scope.TEMPLATE
        again = load("template_status_paused")
        again["entry"][0]["time"] += 60
        again["entry"][0]["changes"][0]["value"] |= {"event": "REINSTATED", "other_info": {}}
        tell(client, again)
        assert not Hold.objects.exists()
        template.refresh_from_db()
        assert template.status == "APPROVED"

    def test_a_warning_leaves_it_sendable(self, client, template):
        tell(
            client,
            change(
                "message_template_status_update",
                event="FLAGGED",
                message_template_name="order_update",
                message_template_language="en-US",
            ),
        )
        template.refresh_from_db()
        assert template.status == "APPROVED"

    def test_a_changed_category_reaches_what_is_queued(self, client, number, template):
        message = MessageFactory(phone_number=number)
        tell(client, "template_category_update_done")
        template.refresh_from_db()
        message.refresh_from_db()
        assert (template.category, message.purpose) == ("MARKETING", "marketing")

    @pytest.mark.parametrize(
        "name", ["template_category_update_impending", "template_correct_category_detection"]
    )
    def test_a_coming_category_is_shown_and_changes_nothing_yet(self, client, template, name):
        tell(client, name)
        template.refresh_from_db()
        assert (template.category, template.next_category) == ("UTILITY", "MARKETING")

    def test_the_account_is_read_again(self, client, number, template):
        account = number.account
        account.templates_due_at = datetime(2100, 1, 1, tzinfo=UTC)
        account.save()
        tell(client, "template_status_paused")
        account.refresh_from_db()
        assert account.templates_due_at.year < 2100

    def test_what_was_read_since_is_younger(self, client, number, template):
        account = number.account
        account.templates_synced_at = datetime(2100, 1, 1, tzinfo=UTC)
        account.save()
        tell(client, "template_status_paused")
        template.refresh_from_db()
        assert template.status == "APPROVED"


class TestNumbers:
    def test_an_approved_name_is_taken(self, client, number):
        payload = load("phone_number_name_update_rejected")
        payload["entry"][0]["changes"][0]["value"]["decision"] = "APPROVED"
        tell(client, payload)
        number.refresh_from_db()
        assert number.verified_name == "Example Shop"

    def test_a_rejected_name_is_told_only(self, client, number):
        tell(client, "phone_number_name_update_rejected")
        number.refresh_from_db()
        assert number.verified_name != "Example Shop"
        assert ProviderNotice.objects.get().detail == "NAME_NOT_CONSISTENT"

    def test_a_flag_is_a_red_rating(self, client, number):
        tell(
            client,
            change(
                "phone_number_quality_update",
                event="FLAGGED",
                display_phone_number="15550100100",
                current_limit="TIER_10K",
            ),
        )
        number.refresh_from_db()
        assert number.quality_rating == "RED"


class TestAccounts:
    @pytest.mark.parametrize(
        "name", ["business_capability_update_integer", "business_capability_update_string_tier"]
    )
    def test_the_messaging_limit_is_that_of_the_whole_portfolio(self, client, number, name):
        BusinessAccount.objects.update(portfolio_id="5")
        same = BusinessAccountFactory(org=number.org, app=number.account.app, portfolio_id="5")
        other = BusinessAccountFactory(portfolio_id="6")
        tell(client, name)
        tiers = dict(BusinessAccount.objects.values_list("pk", "portfolio_tier"))
        assert tiers == {number.account_id: 2_000, same.pk: 2_000, other.pk: 0}

    def test_a_disabled_account_stops_and_its_health_is_asked_at_once(self, client, number):
        tell(client, "account_update_disabled")
        hold = Hold.objects.get()
        assert (hold.scope, hold.key, hold.cause) == ("account", "100000000000001", "policy")
        assert hold.probe_at is not None
        assert "DISABLE" in hold.detail

    def test_one_that_is_reinstated_is_asked_for_its_health(self, client, number):
        tell(client, "account_update_disabled")
        far = datetime(2100, 1, 1, tzinfo=UTC)
        Hold.objects.update(probe_at=far)
        tell(client, account_update("DISABLED_UPDATE", ban_info={"waba_ban_state": "REINSTATE"}))
        assert Hold.objects.get().probe_at < far

    def test_a_restriction_to_begin_conversations_stops_until_it_ends(self, client, number):
        restriction = {
            "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING",
            "expiration": 4102444800,
        }
        tell(client, account_update("ACCOUNT_RESTRICTION", restriction_info=[restriction]))
        assert Hold.objects.get().until == datetime(2100, 1, 1, tzinfo=UTC)

    def test_what_is_only_told_stops_nothing(self, client, number):
        tell(client, "account_alerts_eligibility_deferred")
        assert not Hold.objects.exists()

    def test_an_app_that_was_removed_has_no_access_any_more(self, client, number):
        tell(client, account_update("PARTNER_APP_UNINSTALLED"))
        assert Hold.objects.get().cause == Hold.Cause.CREDENTIALS
