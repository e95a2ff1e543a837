"""The preview says what the claim will do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent.models import Decision
from messaging import claims, operations
from messaging.dead_letters import grouping, prospects
from messaging.dead_letters.selection import Selection
from messaging.models import MessageTemplate, OutboundMessage, ServiceWindow
from messaging.states import Status
from ratelimit import holds
from ratelimit.holds import HoldRequest
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import PhoneNumberFactory, TemplateFactory
from tests.messaging.dead_letters.cast import ADA, dead

pytestmark = [pytest.mark.django_db, pytest.mark.core]

HOUR = timedelta(hours=1)


def preview(**parts: object) -> dict[str, int]:
    return prospects.preview(Selection(**parts).messages(), timezone.now()).counts


def with_everything_there_is(number) -> dict[str, OutboundMessage]:
    """Make one dead letter of each prospect that does not depend on a whole number."""
    now = timezone.now()
    TemplateFactory(account=number.account, name="gone", status=MessageTemplate.Status.DISABLED)
    TemplateFactory(account=number.account, name="resting", status=MessageTemplate.Status.PAUSED)
    key = f"{number.account.waba_id}/resting/en_US"
    holds.place([HoldRequest("template", key, "template", None)], now)
    denied, lapsed, stranger, open_window = (ContactFactory(org=number.org) for _ in range(4))
    ConsentFactory(contact=denied, status=Decision.REVOKED)
    ConsentFactory(contact=lapsed, expires_at=now - HOUR)
    ConsentFactory(contact=stranger, purpose="marketing")
    ConsentFactory(contact=open_window)
    ServiceWindow.objects.create(
        org=number.org, phone_number=number, contact=open_window, last_inbound_at=now - HOUR
    )
    text = {"kind": "text", "template_name": "", "template_language": "", "category": "service"}
    wanted = {
        "send": {},
        "in_window": {"contact": open_window, **text},
        "expired": {"expires_at": now - HOUR},
        "denied": {"contact": denied},
        "lapsed": {"contact": lapsed},
        "stranger": {"contact": stranger},
        "window_closed": text,
        "template_ended": {"template_name": "gone"},
        "held": {"template_name": "resting"},
    }
    return {name: dead(number, **fields)[0] for name, fields in wanted.items()}


def test_each_message_is_told_by_the_first_rule_that_stops_it(number):
    with_everything_there_is(number)
    assert preview() == {
        "send": 2,
        "expired": 1,
        "no_consent": 3,
        "window_closed": 1,
        "template_ended": 1,
        "held": 1,
    }


def test_the_claim_decides_as_the_preview_said(number, provider):
    messages = with_everything_there_is(number)
    said = dict(prospects.judged(Selection().messages(), timezone.now()))
    operations.requeue([row.pk for row in messages.values()], ADA)
    claim = claims.claim_due(100)
    sent = {row.pk for row in claim.messages}
    assert sent == {pk for pk, prospect in said.items() if prospect == "send"}
    became = {
        "expired": (Status.CANCELLED, "EXPIRED"),
        "no_consent": (Status.CANCELLED, "CONSENT_REVOKED"),
        "window_closed": (Status.FAILED, "OUTSIDE_SERVICE_WINDOW"),
        "template_ended": (Status.FAILED, "TEMPLATE_NOT_SENDABLE"),
        "held": (Status.QUEUED, ""),
        "send": (Status.SENDING, ""),
    }
    for row in OutboundMessage.objects.all():
        assert (row.status, row.error_code) == became[said[row.pk]]


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("number", "phone_number_id"),
        ("account", "account.waba_id"),
        ("app", "account.app.app_id"),
        ("organization", "org.org_id"),
    ],
)
def test_a_hold_of_any_scope_makes_it_wait(number, scope, key):
    dead(number)
    dead(PhoneNumberFactory())
    value = number
    for name in key.split("."):
        value = getattr(value, name)
    holds.place([HoldRequest(scope, value, "paused_by_staff", None)], timezone.now())
    assert preview() == {"held": 1, "send": 1}
    holds.place([HoldRequest("number", "elsewhere", "paused_by_staff", None)], timezone.now())
    assert preview() == {"held": 1, "send": 1}


def test_a_number_that_is_switched_off_sends_nothing(number):
    dead(number)
    number.is_active = False
    number.save()
    assert preview() == {"switched_off": 1}


def test_of_very_many_only_the_oldest_are_asked_about(number, monkeypatch):
    monkeypatch.setattr(prospects, "MOST", 3)
    dead(number, 5)
    found = prospects.preview(Selection().messages(), timezone.now())
    assert (found.matched, found.looked_at, found.counts) == (5, 3, {"send": 3})


class TestSelection:
    def test_it_is_written_and_read_again(self):
        moment = timezone.now()
        selection = Selection(
            org="acme",
            error="131016",
            template="-",
            number=4,
            category="utility",
            campaign=False,
            failed_from=moment,
            failed_until=moment,
        )
        assert Selection.of(selection.as_texts()) == selection
        assert Selection.of({}) == Selection.of({"org": "", "page": "3"}) == Selection()
        assert Selection().as_texts() == {}

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("number", "x"),
            ("failed_from", "yesterday"),
            ("campaign", "maybe"),
            ("number", "9" * 30),
            ("error", "1\0"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, name, text):
        with pytest.raises(ValueError, match=name):
            Selection.of({name: text})

    def test_each_part_narrows(self, number, other_org):
        (message,) = dead(number, template_name="alone", category="marketing")
        dead(PhoneNumberFactory(org=other_org), error_code="131049", failed_at=timezone.now())
        for parts in (
            {"org": number.org.org_id},
            {"error": "131016"},
            {"template": "alone"},
            {"number": number.pk},
            {"category": "marketing"},
            {"campaign": False},
            {"failed_until": timezone.now() - HOUR / 2},
        ):
            assert [row.pk for row in Selection(**parts).messages()] == [message.pk], parts


class TestGroups:
    def test_by_cause_with_meaning_advice_and_trend(self, number):
        now = timezone.now()
        dead(number, 2, failed_at=now)
        dead(number, 1, failed_at=now - timedelta(hours=30))
        dead(number, 1, error_code="131049", failed_at=now - timedelta(days=40))
        first, second = grouping.by_cause(Selection().messages(), now)
        assert (first.value, *first.counts[:3]) == ("131016", 3, 2, 1)
        assert first.title
        assert first.advice
        assert (sum(first.trend), len(first.trend), first.trend[-1] >= 1) == (3, 14, True)
        assert (second.value, second.campaign, sum(second.trend)) == ("131049", True, 0)

    def test_by_template_number_and_day(self, number):
        now = timezone.now()
        dead(number, 2, failed_at=now)
        dead(number, 1, kind="text", template_name="", failed_at=now)
        messages = Selection().messages()
        assert [
            (group.value, group.counts.all) for group in grouping.by_template(messages, now)
        ] == [
            ("order_update", 2),
            ("-", 1),
        ]
        (group,) = grouping.by_number(messages, now)
        assert (group.value, group.counts.all) == (str(number.pk), 3)
        assert grouping.by_day(messages, now)[-1] == (now.date(), 3)
