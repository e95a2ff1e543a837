"""The checks over real rows: what they count and what they leave out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from alerts import checking, metrics
from alerts.models import Alert
from alerts.readings import sampling
from messaging.models import BusinessAccount, Heartbeat, OutboundAttempt, WebhookEvent
from messaging.states import Status
from orgs import audit
from ratelimit import reach
from ratelimit.models import Hold, PortfolioReach, PortfolioUsage, WhatsAppRateLimit
from ratelimit.rules import Ask, micros
from tests.factories.messaging import (
    AttemptFactory,
    BusinessAccountFactory,
    DeliveryFactory,
    MessageFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.core]

FAILED, QUEUED, SENT = Status.FAILED, Status.QUEUED, Status.SENT


def ago(**length: int) -> datetime:
    return timezone.now() - timedelta(**length)


def open_incidents(name: str) -> dict[str, Alert]:
    (result,) = checking.run([name])
    assert result.error == ""
    found = {alert.key: alert for alert in Alert.objects.open().filter(rule=name)}
    for page in {alert.page for alert in found.values()} - {""}:
        assert seen_by_staff(page) == 200, page
    return found


def seen_by_staff(page: str) -> int:
    """Return the answer to who follows an incident's link; refused filters lead elsewhere."""
    person, _ = User.objects.get_or_create(username="x", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(person)
    return client.get(page).status_code


def sent(number, count: int, **fields) -> None:
    for _ in range(count):
        message = MessageFactory(phone_number=number, status=SENT, **fields)
        AttemptFactory(message=message, outcome="ACCEPTED")


def test_campaign_outcomes_are_neither_dead_letters_nor_failures(number, settings):
    settings.OUTBOUND_ALERT_DLQ_THRESHOLD = 1
    for code in ("131049", "131050", "130472"):
        for _ in range(5):
            MessageFactory(phone_number=number, status=FAILED, error_code=code, attempt_count=5)
    for name in ("dlq", "failure_rate", "escalation"):
        assert open_incidents(name) == {}


def test_dead_letters_are_told_with_codes_and_links(number, settings):
    settings.OUTBOUND_ALERT_DLQ_THRESHOLD = 1
    for _ in range(2):
        MessageFactory(phone_number=number, status=FAILED, error_code="131026")
    found = open_incidents("dlq")
    assert set(found) == {"", "acme"}
    assert found[""].table[1][:2] == ["131026", "2"]
    assert found[""].page == "/admin/messaging/deadletter/"
    assert found["acme"].page == "/admin/messaging/deadletter/?org=acme"
    assert found["acme"].org_id == number.org_id
    assert metrics.DEAD_LETTERS.value() == 1


def test_stuck_is_tried_often_and_old(number):
    old = {"phone_number": number, "attempt_count": 3, "at": ago(hours=3)}
    MessageFactory(**old)
    MessageFactory(**old, status=Status.SENDING)
    MessageFactory(**old | {"attempt_count": 2})
    MessageFactory(**old | {"at": ago(hours=1)})
    MessageFactory(**old, scheduled_at=ago(hours=1))  # made early, due a moment ago
    MessageFactory(**old, status=FAILED)
    found = open_incidents("stuck")
    assert ["Stuck", "2"] in found[""].figures
    assert metrics.STUCK.value("WHATSAPP", "QUEUED") == 1
    assert metrics.STUCK.value("WHATSAPP", "SENDING") == 1


def test_the_queue_is_what_waits_now(number, settings):
    settings.OUTBOUND_ALERT_HIGH_QUEUE_THRESHOLD = 2
    MessageFactory(phone_number=number)
    MessageFactory(phone_number=number, status=Status.SENDING)
    MessageFactory(phone_number=number, due_at=timezone.now() + timedelta(days=1))
    assert open_incidents("queue_depth") == {}
    MessageFactory(phone_number=number, due_at=timezone.now() + timedelta(minutes=8))
    assert open_incidents("queue_depth")[""].size == 3


class TestFailureRate:
    def test_it_is_of_what_ended_inside_the_window(self, number):
        sent(number, 7)
        for _ in range(4):
            MessageFactory(phone_number=number, status=FAILED, error_code="131000")
        MessageFactory(phone_number=number, status=FAILED, failed_at=ago(hours=2))
        OutboundAttempt.objects.filter(pk=OutboundAttempt.objects.first().pk).update(
            started_at=ago(hours=2)
        )
        found = open_incidents("failure_rate")["WHATSAPP"]
        assert ["Failure rate", "40.0%"] in found.figures
        assert ["Codes", "131000 (4)"] in found.figures

    def test_of_many_calls_an_even_sample_is_extrapolated(self, number, monkeypatch):
        monkeypatch.setattr(sampling, "SAMPLE", 10)
        sent(number, 25)
        for attempt in OutboundAttempt.objects.order_by("pk")[:5]:
            OutboundAttempt.objects.filter(pk=attempt.pk).update(started_at=ago(hours=2))
        assert sampling.went(ago(hours=1)) == {"WHATSAPP": 20}
        assert sampling.went(timezone.now() + timedelta(hours=1)) == {}

    def test_a_few_messages_say_nothing(self, number):
        for _ in range(9):
            MessageFactory(phone_number=number, status=FAILED)
        assert open_incidents("failure_rate") == {}


def test_escalation_is_attempts_used_up_or_nearly(number):
    MessageFactory(phone_number=number, status=FAILED, attempt_count=5)
    MessageFactory(phone_number=number, status=FAILED, attempt_count=5, failed_at=ago(hours=2))
    MessageFactory(phone_number=number, status=FAILED, attempt_count=1)
    MessageFactory(phone_number=number, attempt_count=5, max_attempts=8)
    found = open_incidents("escalation")[""]
    assert ["Attempts used up", "1"] in found.figures
    assert ["Going on", "1"] in found.figures


def test_messages_about_to_expire_are_told_of_in_time(number, settings):
    settings.OUTBOUND_ALERT_EXPIRING_THRESHOLD = 0
    soon = timezone.now() + timedelta(minutes=30)
    MessageFactory(phone_number=number, expires_at=soon)  # a short life, as wished
    assert open_incidents("expiring") == {}
    MessageFactory(phone_number=number, expires_at=soon, at=ago(hours=2))
    assert open_incidents("expiring")[""].size == 1


def test_a_circuit_is_an_incident_until_it_closes(number):
    hold = Hold.objects.create(
        org=number.org,
        scope=Hold.Scope.ACCOUNT,
        key="100",
        cause=Hold.Cause.CREDENTIALS,
        code="190",
        opened_at=ago(minutes=5),
    )
    Hold.objects.create(
        scope=Hold.Scope.NUMBER, key="1", cause=Hold.Cause.PAUSED_BY_STAFF, opened_at=ago(minutes=5)
    )
    (alert,) = open_incidents("circuits").values()
    assert (alert.severity, alert.org_id) == ("critical", number.org_id)
    hold.delete()
    assert open_incidents("circuits") == {}


@pytest.mark.parametrize("action", ["business_capability_update", "tier.read"])
def test_a_red_number_and_a_tier_that_fell_are_told(number, action):
    number.quality_rating = "RED"
    number.save()
    target = f"account:{number.account.waba_id}"
    before, after = {"portfolio_tier": 10_000}, {"portfolio_tier": 2_000}
    audit.record(
        [
            audit.Entry(
                number.org_id,
                "system:meta",
                action,
                target,
                "",
                before,
                after,
            )
        ]
    )
    titles = {alert.title for alert in open_incidents("numbers").values()}
    assert titles == {
        f"The quality of number {number} is RED",
        f"The tier of account {number.account.waba_id} fell",
    }


def reach_people(portfolio: str, people: Iterable[int], at: datetime) -> None:
    """Count messages to so many people against a portfolio that may reach 10."""
    for person in people:
        ask = Ask(1, "acme", 1, 1, person, portfolio, 10)
        reach.load([ask], micros(at)).write([ask])
    PortfolioUsage.objects.filter(pk=portfolio).update(at_most=10)


def test_a_tier_that_fills_up_becomes_graver_and_ends_with_the_day(number):
    account = number.account
    account.portfolio_tier = 10
    account.save()
    reach_people(account.waba_id, range(8), ago(hours=1))
    (warning,) = open_incidents("numbers").values()
    assert (warning.severity, warning.org_id) == ("warning", number.org_id)
    reach_people(account.waba_id, range(8, 10), ago(hours=1))
    assert open_incidents("numbers")[f"reach/{account.waba_id}"].severity == "critical"
    PortfolioReach.objects.update(last_at=micros(ago(hours=25)))
    assert open_incidents("numbers") == {}


def test_a_tier_that_organisations_share_is_told_to_the_installation(number, other_org):
    app = number.account.app
    BusinessAccountFactory(org=other_org, app=app)
    BusinessAccount.objects.update(portfolio_id="900", portfolio_tier=10)
    reach_people("900", range(8), ago(hours=1))
    (warning,) = open_incidents("numbers").values()
    assert warning.org_id is None


def test_a_quota_that_fills_up_becomes_graver(org):
    row = WhatsAppRateLimit.objects.create(
        org=org, quota_limit=100, messages_sent=80, reset_at=timezone.now() + timedelta(hours=1)
    )
    assert open_incidents("quotas")["acme"].severity == "warning"
    row.messages_sent = 100
    row.save()
    assert open_incidents("quotas")["acme"].severity == "critical"
    row.reset_at = ago(minutes=1)
    row.save()
    assert open_incidents("quotas") == {}


class TestSilentWebhooks:
    def test_messages_without_any_status_are_silence(self, number):
        sent(number, 10, at=ago(hours=1), accepted_at=ago(hours=1))
        assert set(open_incidents("silent_webhooks")) == {number.account.app.app_id}

    def test_one_status_is_none(self, number):
        sent(number, 10, at=ago(hours=1), accepted_at=ago(hours=1))
        OutboundAttempt.objects.filter(pk=OutboundAttempt.objects.last().pk).update(receipts="sent")
        assert open_incidents("silent_webhooks") == {}

    def test_a_delivery_a_moment_ago_is_none(self, number):
        sent(number, 10, at=ago(hours=1), accepted_at=ago(hours=1))
        DeliveryFactory(app=number.account.app, received_at=ago(minutes=1))
        assert open_incidents("silent_webhooks") == {}

    def test_few_or_fresh_messages_are_none(self, number):
        sent(number, 9, at=ago(hours=1), accepted_at=ago(hours=1))
        sent(number, 5, at=ago(minutes=2), accepted_at=ago(minutes=2))
        assert open_incidents("silent_webhooks") == {}


def test_webhooks_that_had_no_effect_are_told(number, settings):
    settings.OUTBOUND_ALERT_UNMATCHED_WEBHOOKS_THRESHOLD = 1
    delivery = DeliveryFactory(app=number.account.app, status="PENDING", received_at=ago(minutes=6))
    for position, result in enumerate(("UNMATCHED", "UNMATCHED", "POISON", "APPLIED")):
        WebhookEvent.objects.create(
            delivery=delivery,
            topic="sent",
            result=result,
            recorded_at=ago(minutes=6),
            look_again_at=ago(minutes=1) if result == "UNMATCHED" else None,
            position=position,
        )
    assert set(open_incidents("inbox")) == {"unmatched", "poisoned", "lag"}


def test_a_beat_not_seen_for_two_minutes_is_told(db):
    for kind, minutes in (("worker", 0), ("beat", 3)):
        Heartbeat.objects.create(
            kind=kind, name="x", started_at=ago(hours=1), seen_at=ago(minutes=minutes)
        )
    assert set(open_incidents("processes")) == {"beat"}


def test_the_command_runs_all_of_them(number, capsys):
    call_command("run_alert_checks")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert "stuck: 0 open, 0 notice(s)" in lines
