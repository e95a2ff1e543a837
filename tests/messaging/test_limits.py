"""What the limits do to queued messages: who goes, who waits, for what and until when."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import claims, limits
from messaging.models import BusinessAccount, OutboundMessage, PhoneNumber, ServiceWindow
from messaging.models.accounts import Tier
from messaging.providers.base import Outcome, Scope
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.states import Status
from messaging.waiting import Board
from ratelimit import limiter, quota
from ratelimit.models import Hold, PairUsage, PortfolioReach, WhatsAppRateLimit
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import (
    BusinessAccountFactory,
    MessageFactory,
    PhoneNumberFactory,
)
from tests.fakes import ScriptedProvider

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def consented(number: PhoneNumber, count: int = 1, **fields: object) -> list[OutboundMessage]:
    messages = [MessageFactory(phone_number=number, **fields) for _ in range(count)]
    for contact in {message.contact for message in messages}:
        ConsentFactory(contact=contact)
    return messages


def set_quota(number: PhoneNumber, limit: int) -> None:
    quota.change(number.org, limit, actor="user:1", reason="test")


def usage(number: PhoneNumber) -> WhatsAppRateLimit:
    return WhatsAppRateLimit.objects.get(org=number.org)


def waiting(message: OutboundMessage):
    message.refresh_from_db()
    return Board.at(timezone.now()).of(message)


def refuse(provider: ScriptedProvider, code: str, **fields: object) -> None:
    provider.answer(
        Outcome.THROTTLED,
        error_code=code,
        rule=DEFAULT_TABLE.rules[code],
        http_status=429,
        **fields,
    )


def test_a_used_up_quota_holds_the_rest_and_says_until_when(provider, number):
    set_quota(number, 2)
    messages = consented(number, 3)
    send_due()
    assert len(provider.sent) == 2
    reason = waiting(messages[2])
    assert (reason.reason, reason.until) == ("QUOTA_EXCEEDED", usage(number).reset_at)
    assert messages[2].status == Status.QUEUED
    assert (messages[2].attempt_count, messages[2].last_attempt_number) == (0, 0)


def test_an_organization_without_quota_left_is_not_looked_at_again(provider, number):
    set_quota(number, 1)
    consented(number, 3)
    send_due()
    with CaptureQueriesContext(connection) as queries:
        assert send_due() == 0
    assert "FOR UPDATE" not in " ".join(query["sql"] for query in queries)


def test_raising_the_quota_lets_them_go_at_once(provider, number):
    set_quota(number, 1)
    consented(number, 3)
    send_due()
    set_quota(number, 10)
    assert send_due() == 2
    assert usage(number).messages_sent == 3


def test_another_organization_is_not_held_by_a_used_up_quota(provider, number):
    other = PhoneNumberFactory()
    set_quota(number, 1)
    consented(number, 3)
    consented(other, 3)
    send_due()
    assert len(provider.sent) == 4


def test_a_window_that_has_ended_is_a_new_one(provider, number):
    set_quota(number, 1)
    consented(number, 2)
    send_due()
    past = timezone.now() - timedelta(seconds=1)
    WhatsAppRateLimit.objects.update(reset_at=past)
    Hold.objects.update(until=past)
    assert send_due() == 1
    assert usage(number).messages_sent == 1


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REJECTED, Outcome.RETRY])
def test_what_was_not_sent_goes_back_to_the_quota(provider, number, outcome):
    provider.answer(outcome, error_code="1")
    consented(number)
    send_due()
    assert usage(number).messages_sent == 0


def test_a_lost_answer_gives_nothing_back(provider, number):
    provider.answer(Outcome.UNKNOWN, error_code="TIMEOUT")
    consented(number)
    send_due()
    assert usage(number).messages_sent == 1


def test_what_goes_back_frees_who_waited_for_the_quota(provider, number):
    set_quota(number, 1)
    provider.answer(Outcome.REJECTED, error_code="131008")
    _first, second = consented(number, 2)
    send_due()
    assert not Hold.objects.exists()
    send_due()
    second.refresh_from_db()
    assert second.status == Status.FAILED


def test_the_46th_message_to_one_person_steps_back_without_an_attempt(provider, number):
    contact = ContactFactory(org=number.org)
    messages = consented(number, 47, contact=contact)
    other = consented(number)
    send_due()
    assert len(provider.sent) == 46
    assert str(other[0].pk) in {sent.key for sent in provider.sent}
    first, second = messages[45:]
    assert waiting(first).reason == waiting(second).reason == "PAIR_LIMIT"
    assert second.due_at - first.due_at == timedelta(seconds=6.25)
    assert (first.attempt_count, first.last_attempt_number) == (0, 0)


def test_a_message_that_stepped_back_goes_when_its_time_comes(provider, number):
    contact = ContactFactory(org=number.org)
    messages = consented(number, 46, contact=contact)
    send_due()
    PairUsage.objects.update(free_at=0)
    OutboundMessage.objects.filter(pk=messages[45].pk).update(due_at=timezone.now())
    asks = limits.asks(messages[45:], {number.pk: number}, timezone.now())
    limiter.correct(list(asks.values()), 0)
    assert send_due() == 1


def test_a_claim_takes_no_more_than_half_a_second_of_the_rate(provider):
    number = PhoneNumberFactory(messages_per_second=20)
    consented(number, 30)
    claim = claims.claim_due(100)
    assert len(claim.messages) == 11
    starts = [message.start_at for message in claim.messages]
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(abs(gap - 0.05) < 0.001 for gap in gaps)


def test_a_refusal_for_throughput_halves_the_rate_once(provider, number):
    refuse(provider, "130429")
    consented(number, 5)
    send_due()
    number.refresh_from_db()
    assert (number.rate_share, number.rate_lowered_at is None) == (500, False)
    hold = Hold.objects.get()
    assert (hold.scope, hold.cause) == ("number", "throttle")


def test_a_lowered_rate_recovers_a_tenth_a_minute(provider):
    number = PhoneNumberFactory(
        messages_per_second=100,
        rate_share=500,
        rate_lowered_at=timezone.now() - timedelta(minutes=2),
    )
    consented(number, 2)
    first, second = claims.claim_due(10).messages
    assert second.start_at - first.start_at == pytest.approx(1 / 70, abs=0.0002)


def test_a_pair_refused_by_meta_holds_other_messages_to_the_person(provider, number):
    refuse(provider, "131056", retry_after_seconds=30.0)
    contact = ContactFactory(org=number.org)
    consented(number, 1, contact=contact)
    send_due()
    provider.sent.clear()
    (later,) = [MessageFactory(phone_number=number, contact=contact)]
    assert send_due() == 0
    assert waiting(later).reason == "PAIR_LIMIT"
    assert waiting(later).until > timezone.now() + timedelta(seconds=25)
    assert not Hold.objects.exists()


def test_a_throttled_account_throttles_the_organization_that_has_no_other(provider, number):
    refuse(provider, "80007")
    consented(number)
    send_due()
    assert usage(number).throttled_until > timezone.now() + timedelta(minutes=4)
    assert Hold.objects.get().scope == Scope.ACCOUNT


def test_a_throttled_account_leaves_the_organizations_other_account_alone(provider, number):
    other = PhoneNumberFactory(org=number.org)
    refuse(provider, "80007")
    consented(number)
    send_due()
    assert usage(number).throttled_until is None
    provider.script = ScriptedProvider().script
    consented(other)
    assert send_due() == 1


def test_lifting_the_throttle_lets_everything_go(provider, number):
    refuse(provider, "80007")
    consented(number)
    send_due()
    assert quota.lift_throttle(number.org, actor="user:1", reason="Meta says it is over")
    provider.script = ScriptedProvider().script
    assert send_due() == 1


def test_an_apps_limit_holds_all_organisations_that_share_the_app(provider, number, other_org):
    account = BusinessAccountFactory(org=other_org, app=number.account.app)
    neighbour = PhoneNumberFactory(org=other_org, account=account)
    refuse(provider, "4")
    consented(number)
    send_due()
    provider.script = ScriptedProvider().script
    mine, theirs = consented(number)[0], consented(neighbour)[0]
    elsewhere = consented(PhoneNumberFactory())[0]
    assert send_due() == 1
    assert waiting(elsewhere) is None
    assert {waiting(mine).reason, waiting(theirs).reason} == {"throttle"}
    hold = Hold.objects.get()
    assert (hold.scope, hold.key, hold.org) == ("app", number.account.app.app_id, None)
    assert timedelta(minutes=5) <= hold.until - hold.opened_at <= timedelta(minutes=5.5)


@pytest.fixture
def limited(number):
    number.account.portfolio_tier = Tier.TIER_250
    number.account.portfolio_id = "900000000000001"
    number.account.save()
    return number


def test_the_tier_holds_new_people_and_lets_known_ones_go(provider, limited):
    BusinessAccount.objects.update(portfolio_tier=3)
    known = ContactFactory(org=limited.org)
    consented(limited, 1, contact=known)
    consented(limited, 2)
    send_due()
    (new,) = consented(limited)
    again = MessageFactory(phone_number=limited, contact=known)
    assert send_due() == 1
    assert waiting(new).reason == "CONTACT_LIMIT"
    assert new.attempt_count == 0
    assert waiting(again) is None


def test_whoever_has_just_written_is_not_counted_and_not_held(provider, limited):
    BusinessAccount.objects.update(portfolio_tier=1)
    writer = ContactFactory(org=limited.org)
    ServiceWindow.objects.create(
        org=limited.org, phone_number=limited, contact=writer, last_inbound_at=timezone.now()
    )
    consented(limited, 2, contact=writer)
    assert send_due() == 2
    assert not PortfolioReach.objects.exists()
    consented(limited, 2)
    assert send_due() == 1  # the tier is used up
    MessageFactory(phone_number=limited, contact=writer)
    assert send_due() == 1


def test_statements_of_a_claim_do_not_grow_with_the_batch(provider, limited):
    counts = []
    # The first claim of all also makes the rows that are missing.
    consented(limited)
    claims.claim_due(100)
    for count in (1, 50):
        consented(limited, count)
        with CaptureQueriesContext(connection) as queries:
            claim = claims.claim_due(100)
        assert len(claim.messages) == count
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_calls_that_missed_their_slots_get_new_ones_behind_those_given_out(provider, number):
    contact = ContactFactory(org=number.org)
    consented(number, 3, contact=contact)
    claim = claims.claim_due(10)
    owed = PairUsage.objects.get().free_at
    before = [message.start_at for message in claim.messages]
    starts = limits.book_again(claim.messages, 0.2)
    assert starts[0] >= before[0] + 0.19
    assert starts == sorted(starts)
    assert [message.start_at for message in claim.messages] == starts
    # What goes later is paid back later.
    delay = max(new - old for new, old in zip(starts, before, strict=True))
    assert PairUsage.objects.get().free_at - owed == pytest.approx(delay * 1_000_000, abs=2000)
