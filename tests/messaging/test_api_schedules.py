from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from messaging.models import OutboundMessage
from tests.factories.consent import ConsentFactory, ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/outbound-messages"
PHONE = "+12025550123"
LONGEST = timedelta(days=7)
MOMENT = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def consent(org, number):
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))


def post(api, **fields: object):
    template = {"name": "order_update", "language": "en_US"}
    body = {"to": PHONE, "type": "template", "category": "utility", "template": template}
    return api.post(URL, {**body, **fields}, format="json")


def made(answer) -> OutboundMessage:
    assert answer.status_code == 201, answer.json()
    return OutboundMessage.objects.get(pk=answer.json()["id"])


def refusal(answer) -> tuple[int, str, str]:
    (error,) = answer.json()["errors"]
    return answer.status_code, error["field"], error["code"]


def test_without_times_it_is_due_at_once_and_lives_the_longest(api):
    message = made(post(api))
    assert message.scheduled_at is None
    assert message.due_at == message.created_at
    assert message.expires_at == message.created_at + LONGEST


def test_a_scheduled_message_is_due_then_and_lives_from_then(api):
    at = timezone.now() + timedelta(days=2)
    message = made(post(api, scheduled_at=at.isoformat()))
    assert message.scheduled_at == message.due_at == at
    assert message.expires_at == at + LONGEST


def test_a_schedule_in_the_past_means_now(api):
    at = timezone.now() - timedelta(days=400)
    message = made(post(api, scheduled_at=at.isoformat()))
    assert message.scheduled_at == at
    assert message.due_at == message.created_at
    assert message.expires_at == message.created_at + LONGEST


def test_a_schedule_is_read_in_its_own_time_zone(api):
    at = (timezone.now() + timedelta(hours=5)).replace(microsecond=0)
    local = at.astimezone(UTC).replace(tzinfo=None) + timedelta(hours=2)
    message = made(post(api, scheduled_at=f"{local.isoformat()}+02:00"))
    assert message.due_at == at


def test_a_time_to_live_counts_from_acceptance(api):
    message = made(post(api, ttl_seconds=90))
    assert message.expires_at == message.created_at + timedelta(seconds=90)


def test_a_time_to_live_counts_from_the_schedule_when_there_is_one(api):
    at = timezone.now() + timedelta(hours=1)
    message = made(post(api, ttl_seconds=90, scheduled_at=at.isoformat()))
    assert message.expires_at == at + timedelta(seconds=90)


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_the_policy_for_a_lost_answer_is_kept(api, policy):
    assert made(post(api, on_unknown=policy)).on_unknown == policy


def test_without_a_policy_the_organization_decides(api):
    assert made(post(api)).on_unknown == ""


def test_another_policy_is_refused(api):
    assert refusal(post(api, on_unknown="drop"))[:2] == (422, "on_unknown")


def test_a_schedule_beyond_the_longest_age_is_refused(api):
    inside, beyond = (timezone.now() + LONGEST + away for away in (-MOMENT, MOMENT))
    assert made(post(api, scheduled_at=inside.isoformat()))
    answer = post(api, scheduled_at=beyond.isoformat())
    assert refusal(answer) == (422, "scheduled_at", "too_far_ahead")


def test_a_schedule_without_a_time_zone_is_refused(api):
    assert refusal(post(api, scheduled_at="2030-01-01T10:00:00"))[:2] == (422, "scheduled_at")


def test_a_schedule_at_or_after_the_expiry_is_refused(api):
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    assert refusal(post(api, scheduled_at=at, expires_at=at)) == (422, "scheduled_at", "invalid")


def test_an_expiry_in_the_past_is_refused(api):
    past = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    assert refusal(post(api, expires_at=past)) == (422, "expires_at", "expired")
    assert not OutboundMessage.objects.exists()


def test_expiry_and_time_to_live_exclude_each_other(api):
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    answer = post(api, expires_at=at, ttl_seconds=60)
    assert refusal(answer) == (422, "ttl_seconds", "conflict")


@pytest.mark.parametrize("seconds", [0, -1, 7 * 86_400 + 1, "60"])
def test_a_time_to_live_is_bounded(api, seconds):
    assert refusal(post(api, ttl_seconds=seconds))[:2] == (422, "ttl_seconds")


def test_the_schedule_is_part_of_what_a_key_stands_for(api):
    at = timezone.now() + timedelta(hours=1)
    first = post(api, idempotency_key="k", scheduled_at=at.isoformat())
    again = post(api, idempotency_key="k", scheduled_at=at.isoformat())
    other = post(api, idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_the_nul_character_is_refused(api, text):
    assert refusal(post(api, reference=text))[0] == 422


def test_an_escaped_backslash_before_u0000_is_only_text(api):
    assert made(post(api, reference="\\u0000")).reference == "\\u0000"


def test_a_whole_number_that_would_not_survive_is_refused(api):
    assert refusal(post(api, metadata={"n": 10**30}))[:2] == (422, "metadata")
