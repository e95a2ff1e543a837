"""Each rule that the claim asks: whether it lets a message go, on what figures, and until when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from consent.models import Consent, ConsentPolicy, Contact
from messaging import explaining
from messaging.models import BusinessAccount, OutboundMessage, PhoneNumber, ServiceWindow
from messaging.states import Status
from messaging.waiting import Board
from orgs import database
from orgs.models import Organization
from ratelimit import holds, quota
from ratelimit.holds import HoldRequest
from ratelimit.models import (
    Hold,
    NumberUsage,
    PairUsage,
    PortfolioReach,
    PortfolioUsage,
    WhatsAppRateLimit,
)
from ratelimit.rules import DAY, PAIR_BURST, PAIR_STEP, SECOND, micros, moment
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import BusinessAccountFactory, MessageFactory, TemplateFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

SOON = timedelta(minutes=5)
HOUR = timedelta(hours=1)
ALL = [
    "The organisation is active",
    "The number is active",
    "No hold on the Meta app",
    "No hold on the WhatsApp account",
    "No hold on the phone number",
    "No hold on the organisation",
    "No hold on the template",
    "Its time has come",
    "Outside quiet hours",
    "Not expired",
    "Consent for transactional",
    "Customer service window",
    "The template may be sent",
    "Not throttled by Meta as a whole",
    "Quota of the organisation",
    "Limit of messages to one person",
    "Rate of the number",
    "People the portfolio may reach",
    "Its turn among the messages of its number",
]


@pytest.fixture
def message(number) -> OutboundMessage:
    message = MessageFactory(phone_number=number)
    ConsentFactory(contact=message.contact)
    return message


def explain(message: OutboundMessage) -> dict[str, explaining.Rule]:
    fresh = OutboundMessage.objects.select_related(
        "contact", "org", "phone_number__org", "phone_number__account__app"
    ).get(pk=message.pk)
    rules = explaining.explain(fresh, Board.at(database.now()))
    assert len({rule.name for rule in rules}) == len(rules)
    return {rule.name: rule for rule in rules}


def failing(message: OutboundMessage) -> list[str]:
    return [name for name, rule in explain(message).items() if rule.passed is False]


def test_a_message_that_may_go_passes_all(message):
    rules = explain(message)
    assert list(rules) == ALL
    assert failing(message) == []
    assert all(rule.passed for rule in rules.values())
    # Even so it is told what comes next.
    assert rules["Not expired"].until == message.expires_at
    assert rules["Quota of the organisation"].detail.startswith("0 of 1,000")


@dataclass(frozen=True)
class Case:
    """One rule made to fail alone: what is told of it, and when it changes."""

    rule: str
    spoil: Callable[[OutboundMessage, datetime], datetime | None]  # returns when it changes
    told: str
    changes: str = ""
    is_final: bool = False


def hold(scope: str, key_of: Callable[[OutboundMessage], str], cause: str = "throttle"):
    def spoil(message: OutboundMessage, now: datetime) -> datetime:
        request = HoldRequest(scope, key_of(message), cause, now + SOON, detail="Told so.")
        holds.place([request], now)
        return now + SOON

    return spoil


def pause(message, now) -> None:
    key = message.phone_number.phone_number_id
    holds.place([HoldRequest("number", key, Hold.Cause.PAUSED_BY_STAFF, None)], now)


def open_circuit(message, now) -> datetime:
    key = message.phone_number.account.app.app_id
    cause = Hold.Cause.PROVIDER_UNAVAILABLE
    holds.place([HoldRequest("app", key, cause, None, probe_at=now + SOON)], now)
    return now + SOON


def change(model, **values):
    return lambda _message, _now: model.objects.update(**values) and None


def due_later(message, now) -> datetime:
    OutboundMessage.objects.update(due_at=now + HOUR, scheduled_at=now + HOUR)
    return now + HOUR


def night(message, now) -> datetime:
    Contact.objects.update(time_zone="UTC")
    OutboundMessage.objects.update(purpose="marketing")
    Consent.objects.update(purpose="marketing")
    ends = (now + HOUR).replace(microsecond=0)
    ConsentPolicy.objects.create(
        org=message.org, quiet_from=(now - HOUR).time(), quiet_until=ends.time()
    )
    return ends


def expire(message, now) -> None:
    OutboundMessage.objects.update(expires_at=now - HOUR)


def consent_over(message, now) -> None:
    Consent.objects.update(expires_at=now - HOUR)


def close_window(message, now) -> None:
    free_form(message)
    wrote(message, now - timedelta(hours=30))


def free_form(message) -> None:
    OutboundMessage.objects.update(kind="text", template_name="", template_language="")


def wrote(message, at) -> None:
    ServiceWindow.objects.create(
        org=message.org,
        phone_number=message.phone_number,
        contact=message.contact,
        last_inbound_at=at,
    )


def end_template(message, now) -> None:
    TemplateFactory(account=message.phone_number.account, status="DISABLED")


def throttle(message, now) -> datetime:
    quota.throttle(message.org_id, now + SOON)
    return now + SOON


def use_up_quota(message, now) -> datetime:
    WhatsAppRateLimit.objects.create(
        org=message.org, quota_limit=5, messages_sent=5, reset_at=now + HOUR
    )
    return now + HOUR


def borrow_all(message, now) -> datetime:
    """Borrow so much towards the person that one more fits in five minutes' time."""
    free_at = micros(now + SOON) + PAIR_STEP * (PAIR_BURST - 1)
    PairUsage.objects.create(
        number_id=message.phone_number_id, contact_id=message.contact_id, free_at=free_at
    )
    return now + SOON


def give_out_slots(message, now) -> datetime:
    PhoneNumber.objects.update(messages_per_second=10)
    free_at = now + timedelta(seconds=60)
    NumberUsage.objects.create(number_id=message.phone_number_id, free_at=micros(free_at))
    return free_at - timedelta(seconds=0.5)


def reach_tier(message, now) -> datetime:
    BusinessAccount.objects.update(portfolio_id="7", portfolio_tier=250)
    long_ago = micros(now) - DAY + 600 * SECOND
    PortfolioUsage.objects.create(portfolio_id="7", at_most=250)
    PortfolioReach.objects.bulk_create(
        PortfolioReach(portfolio_id="7", contact_id=10_000 + place, last_at=long_ago)
        for place in range(250)
    )
    return moment(long_ago + DAY)


def others_first(message, now) -> None:
    MessageFactory.create_batch(2, phone_number=message.phone_number, priority=10)
    MessageFactory(phone_number=message.phone_number, at=now - SOON)
    MessageFactory(phone_number=message.phone_number, priority=30, at=now - HOUR)


CASES = [
    Case(
        "The organisation is active",
        change(Organization, is_active=False),
        "switched off",
        "when somebody switches it on",
    ),
    Case(
        "The number is active",
        change(PhoneNumber, is_active=False),
        "switched off",
        "when somebody switches it on",
    ),
    Case("No hold on the Meta app", open_circuit, "Provider unavailable"),
    Case(
        "No hold on the WhatsApp account",
        hold("account", lambda message: message.phone_number.account.waba_id),
        "Throttle: Told so.",
    ),
    Case("No hold on the phone number", pause, "Paused by staff", "when somebody lifts it"),
    Case(
        "No hold on the organisation",
        hold("organization", lambda message: message.org.org_id, "QUOTA_EXCEEDED"),
        "Told so.",
    ),
    Case(
        "No hold on the template",
        hold(
            "template",
            lambda message: f"{message.phone_number.account.waba_id}/order_update/en_US",
            "template",
        ),
        "Told so.",
    ),
    Case("Its time has come", due_later, "later time"),
    Case("Outside quiet hours", night, "marketing waits"),
    Case("Not expired", expire, "expiry is", is_final=True),
    Case("Consent for transactional", consent_over, "It is EXPIRED", is_final=True),
    Case(
        "Consent for transactional",
        change(Consent, status="REVOKED"),
        "It is REVOKED",
        is_final=True,
    ),
    Case(
        "Customer service window",
        lambda message, _now: free_form(message),
        "has not written",
        "when the person writes",
        is_final=True,
    ),
    Case(
        "Customer service window",
        close_window,
        "It closed at",
        "when the person writes",
        is_final=True,
    ),
    Case("The template may be sent", end_template, "DISABLED", is_final=True),
    Case("Not throttled by Meta as a whole", throttle, "Meta throttles it."),
    Case("Quota of the organisation", use_up_quota, "5 of 5 messages"),
    Case("Limit of messages to one person", borrow_all, "of the 45"),
    Case("Rate of the number", give_out_slots, "10 messages a second; 600 of 6"),
    Case("People the portfolio may reach", reach_tier, "250 of 250 people"),
    Case(
        "Its turn among the messages of its number",
        others_first,
        "3 due messages go before it.",
        "as they go",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.told}")
def test_a_rule_that_holds_says_so_alone_with_its_figures_and_when_it_changes(message, case):
    changes_at = case.spoil(message, database.now())
    rules = explain(message)
    assert failing(message) == [case.rule]
    rule = rules[case.rule]
    assert case.told in rule.detail
    assert rule.is_final == case.is_final
    if case.changes or case.is_final:
        assert (rule.until, rule.changes) == (None, case.changes)
    else:
        assert abs(rule.until - changes_at) < timedelta(seconds=1)


def test_every_rule_has_a_case():
    assert {case.rule for case in CASES} == set(ALL)


def test_every_limit_is_judged_whatever_those_before_it_say(message):
    now = database.now()
    spoilt = [throttle, use_up_quota, borrow_all, give_out_slots, reach_tier]
    WhatsAppRateLimit.objects.create(
        org=message.org,
        quota_limit=5,
        messages_sent=5,
        reset_at=now + HOUR,
        throttled_until=now + SOON,
    )
    for spoil in spoilt[2:]:
        spoil(message, now)
    assert failing(message) == ALL[13:18]
    assert len(explain(message)) == len(ALL)
    assert quota.status(message.org, now).sent == 5  # looking costs nothing


def test_what_lets_it_go_now_says_until_when(message, number):
    now = database.now()
    until = now + HOUR
    Consent.objects.update(expires_at=until)
    WhatsAppRateLimit.objects.create(org=message.org, messages_sent=3, reset_at=until)
    PairUsage.objects.create(
        number_id=number.pk, contact_id=message.contact_id, free_at=micros(now) + 10 * PAIR_STEP
    )
    free_form(message)
    wrote(message, now - timedelta(hours=23))
    rules = explain(message)
    assert failing(message) == []
    assert rules["Consent for transactional"].until == until
    assert rules["Quota of the organisation"].until == until
    assert "3 of 1,000" in rules["Quota of the organisation"].detail
    assert rules["Limit of messages to one person"].detail.startswith("10 of the 45")
    assert rules["Customer service window"].until == now + timedelta(minutes=55)


def test_quiet_hours_that_are_over_say_when_they_begin_again(message):
    now = database.now()
    night(message, now)
    begins = (now + 2 * HOUR).replace(microsecond=0)
    ConsentPolicy.objects.update(quiet_from=begins.time(), quiet_until=time((begins.hour + 1) % 24))
    rule = explain(message)["Outside quiet hours"]
    assert (rule.passed, rule.until) == (True, begins)


def test_a_lowered_rate_says_from_where(message):
    PhoneNumber.objects.update(
        messages_per_second=80, rate_share=500, rate_lowered_at=timezone.now()
    )
    rule = explain(message)["Rate of the number"]
    assert rule.detail.startswith("40 messages a second, lowered from 80 after Meta refused some")


def test_what_others_have_reached_of_a_shared_portfolio_is_not_told(message, org, other_org):
    reach_tier(message, database.now())
    name = "People the portfolio may reach"

    def told(reach) -> explaining.Rule:
        fresh = OutboundMessage.objects.select_related("contact", "org").get(pk=message.pk)
        board = Board.at(database.now())
        return {rule.name: rule for rule in explaining.explain(fresh, board, reach)}[name]

    assert told({org.pk}).detail.startswith("250 of 250")
    BusinessAccountFactory(org=other_org, portfolio_id="7")
    assert told(None).detail.startswith("250 of 250")
    assert told({org.pk, other_org.pk}).detail.startswith("250 of 250")
    hidden = told({org.pk})
    assert (hidden.passed, hidden.until is None) == (False, False)
    assert "250" not in hidden.detail


def test_of_a_failed_message_is_told_what_is_not_asked_yet_and_why(client, message):
    OutboundMessage.objects.update(status=Status.FAILED, due_at=None, failed_at=timezone.now())
    open_rules = [rule for rule in explain(message).values() if rule.passed is None]
    assert [rule.name for rule in open_rules] == [ALL[7], ALL[18]]
    assert "until it is requeued" in open_rules[0].detail
    client.force_login(User.objects.create_superuser("ada", password="x"))
    page = reverse("admin:messaging_outboundmessage_change", args=[message.pk])
    html = client.get(page, {"explain": 1}).content.decode()
    assert html.count("not asked yet") == 2
    assert html.count(">pass<") == len(ALL) - 2
