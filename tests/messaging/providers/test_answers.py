from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from messaging.providers.base import Outcome, Result, Scope
from messaging.providers.whatsapp import answers
from messaging.providers.whatsapp.errors import DEFAULT_TABLE

pytestmark = pytest.mark.core


def classify(status: int, body: object, headers: dict[str, str] | None = None, **extra) -> Result:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.classify("k", status, headers or {}, raw, DEFAULT_TABLE, **extra)


def error(code: int, **fields: object) -> dict[str, object]:
    return {
        "error": {"message": f"(#{code}) Error", "type": "OAuthException", "code": code, **fields}
    }


def test_an_accepted_message_has_its_wamid():
    result = classify(200, {"messages": [{"id": "wamid.1", "message_status": "accepted"}]})
    assert (result.outcome, result.provider_message_id) == (Outcome.ACCEPTED, "wamid.1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>ok</html>",
        {},
        {"messages": []},
        {"messages": [{"id": ""}]},
        {"messages": [{"id": "w" * 256}]},
    ],
)
def test_success_without_a_readable_id_is_unknown(body):
    assert classify(200, body).outcome == Outcome.UNKNOWN


def test_a_truncated_success_is_unknown():
    body = {"messages": [{"id": "wamid.1"}]}
    assert classify(200, body, truncated=True).outcome == Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (error(131009, error_data={"details": "Bad name"}), "(#131009) Error (Bad name)"),
        (error(131009, error_data="Bad name"), "(#131009) Error (Bad name)"),
        (error(131009), "(#131009) Error"),
    ],
)
def test_an_error_keeps_message_and_details(body, text):
    result = classify(400, body)
    assert (result.outcome, result.error_code) == (Outcome.REJECTED, "131009")
    assert result.error_message == text


def test_the_code_decides_and_not_the_http_status():
    assert classify(500, error(3)).rule.stop == "credentials"
    assert classify(400, error(130429)).outcome == Outcome.THROTTLED
    assert classify(429, error(130429)).outcome == Outcome.THROTTLED


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_without_metas_body_is_unknown(status):
    result = classify(status, b"Bad Gateway")
    assert (result.outcome, result.error_code) == (Outcome.UNKNOWN, f"HTTP_{status}")
    assert result.excerpt == "Bad Gateway"


def test_too_many_requests_without_a_code_throttles_the_number():
    result = classify(429, b"", {"retry-after": "7"})
    assert (result.outcome, result.rule.scope) == (Outcome.THROTTLED, Scope.NUMBER)
    assert result.retry_after_seconds == 7


def test_another_refusal_without_a_body_is_final():
    assert classify(404, b"not here").outcome == Outcome.REJECTED


def test_retry_after_may_be_a_date():
    date = format_datetime(timezone.now() + timedelta(seconds=90), usegmt=True)
    wait = classify(400, error(130429), {"retry-after": date}).retry_after_seconds
    assert 80 <= wait <= 90


def test_the_usage_header_counts_minutes():
    usage = json.dumps({"1": [{"estimated_time_to_regain_access": 3}, {}], "2": "x"})
    headers = {"x-business-use-case-usage": usage}
    assert classify(400, error(80007), headers).retry_after_seconds == 180


@pytest.mark.parametrize(("code", "wait"), [(80007, 180), (80008, 3600)])
def test_sending_does_not_wait_for_what_management_has_used(code, wait):
    entries = [
        {"type": "whatsapp_business_management", "estimated_time_to_regain_access": 60},
        {"type": "whatsapp", "estimated_time_to_regain_access": 3},
    ]
    headers = {"x-business-use-case-usage": json.dumps({"1": entries})}
    assert classify(400, error(code), headers).retry_after_seconds == wait


@pytest.mark.parametrize("code", [131056, 130429])
def test_what_an_account_has_used_says_nothing_of_a_pair_or_a_numbers_throughput(code):
    usage = json.dumps({"1": [{"type": "whatsapp", "estimated_time_to_regain_access": 30}]})
    headers = {"x-business-use-case-usage": usage}
    assert classify(400, error(code), headers).retry_after_seconds is None


@pytest.mark.parametrize(
    ("code", "usage", "wait"),
    [
        (4, '{"call_count": 200, "total_time": 25, "total_cputime": 25}', 1800),
        (4, '{"call_count": 101}', None),  # sooner than it waits anyway
        (4, '{"call_count": 28}', None),
        (4, '{"call_count": "many"}', None),
        (4, "[1]", None),
        (4, "{", None),
        (80007, '{"call_count": 200}', None),
    ],
)
def test_an_app_beyond_its_allowance_waits_until_it_is_back_within(code, usage, wait):
    assert classify(400, error(code), {"x-app-usage": usage}).retry_after_seconds == wait


@pytest.mark.parametrize("value", ["soon", "-5", "9" * 30, "Mon, 99 Foo"])
def test_an_unreadable_wait_is_no_wait(value):
    assert classify(400, error(130429), {"retry-after": value}).retry_after_seconds is None


def test_nobody_is_asked_to_wait_longer_than_a_day():
    old = format_datetime(datetime(2999, 1, 1, tzinfo=UTC), usegmt=True)
    assert classify(400, error(4), {"retry-after": old}).retry_after_seconds == 86_400


def test_phone_numbers_and_tokens_are_masked():
    text = "to +12025550123 with EAAGabcdefghijk and Bearer abc.def"
    result = classify(400, error(131009, message=text))
    assert result.error_message == "to [number] with [token] and Bearer [token]"
    assert "2025550123" not in classify(502, text.encode()).excerpt


def test_a_huge_unreadable_answer_is_bounded():
    assert len(classify(502, b"x" * 5_000_000).excerpt) <= answers.LONGEST_EXCERPT


def test_the_trace_for_metas_support_is_kept():
    assert classify(400, error(1, fbtrace_id="Abc")).trace_id == "Abc"
    assert classify(200, {}, {"x-fb-trace-id": "Def"}).trace_id == "Def"


json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "messages", "id", "error_data", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=200) | json_bodies.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-business-use-case-usage"]), st.text(max_size=20)
    ),
)
def test_whatever_comes_back_is_classified(status, body, headers):
    result = answers.classify("k", status, headers, body, DEFAULT_TABLE)
    assert result.key == "k"
    assert len(result.error_message) <= answers.LONGEST_TEXT
