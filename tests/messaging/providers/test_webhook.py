from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.providers.base import Inbound, Outcome, Preference, Receipt, Unhandled
from messaging.providers.whatsapp import callback, webhook
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from tests.messaging.providers.test_content import json_values

pytestmark = pytest.mark.core

PAYLOADS = Path(__file__).parents[1] / "payloads"
VECTORS = json.loads((PAYLOADS / "signature-vectors.json").read_text())
SAMPLES = sorted(PAYLOADS.glob("synthetic__*.json"))


def sample(name: str) -> list[object]:
    return webhook.parse((PAYLOADS / f"synthetic__{name}.json").read_bytes(), DEFAULT_TABLE)


def payload(*statuses: object) -> bytes:
    value = {"metadata": {"phone_number_id": "2"}, "statuses": list(statuses)}
    change = {"field": "messages", "value": value}
    return json.dumps({"entry": [{"id": "1", "changes": [change]}]}).encode()


GOOD = {"id": "wamid.1", "status": "sent", "timestamp": "1794700000"}


class TestSignature:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["description"])
    def test_the_raw_bytes_are_what_is_signed(self, vector):
        body = base64.b64decode(vector["body_base64"])
        header = vector["x_hub_signature_256"]
        assert webhook.verify(body, header, [vector["app_secret"]])
        assert not webhook.verify(body + b" ", header, [vector["app_secret"]])
        assert not webhook.verify(body, header, ["another"])

    def test_two_secrets_are_taken_during_rotation(self):
        vector = VECTORS[0]
        body = base64.b64decode(vector["body_base64"])
        header = vector["x_hub_signature_256"]
        assert webhook.verify(body, header, ["new", vector["app_secret"]])

    @pytest.mark.parametrize("header", [None, "", "sha256=", "sha1=ab", "sha256=é", "x" * 10_000])
    def test_anything_else_is_no_signature(self, header):
        assert not webhook.verify(b"{}", header, ["secret"])

    def test_without_a_secret_nothing_is_authentic(self):
        empty = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        assert not webhook.verify(b"", empty, [])
        assert not webhook.verify(b"", empty, [""])

    @given(body=st.binary(max_size=50), header=st.text(max_size=80), secret=st.text(max_size=10))
    def test_whatever_is_sent_is_answered(self, body, header, secret):
        assert webhook.verify(body, header, [secret]) in {True, False}


class TestChallenge:
    QUERY = {"hub.mode": "subscribe", "hub.challenge": "42", "hub.verify_token": "token"}

    def test_the_right_token_is_answered(self):
        assert webhook.challenge(self.QUERY, "token") == "42"

    @pytest.mark.parametrize(
        "change",
        [
            {"hub.mode": "unsubscribe"},
            {"hub.verify_token": "wrong"},
            {"hub.verify_token": ""},
            {"hub.challenge": ""},
            {"hub.challenge": "x" * 1001},
        ],
    )
    def test_anything_else_is_not(self, change):
        assert webhook.challenge({**self.QUERY, **change}, "token") is None

    def test_an_unset_token_matches_nothing(self):
        assert webhook.challenge({**self.QUERY, "hub.verify_token": ""}, "") is None


class TestParse:
    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
    def test_every_sample_is_read(self, path):
        events = webhook.parse(path.read_bytes(), DEFAULT_TABLE)
        assert events
        assert not [event for event in events if getattr(event, "error", "")]

    def test_a_batch_of_a_thousand_is_read_in_order(self):
        events = sample("batch_1000_statuses")
        assert len(events) == 1000
        assert all(isinstance(event, Receipt) for event in events)

    def test_one_post_may_mix_accounts_numbers_and_fields(self):
        events = sample("batch_mixed_wabas_numbers_fields")
        assert len({event.account_id for event in events}) > 1
        assert len({event.phone_number_id for event in events}) > 1
        assert len({type(event) for event in events}) > 1

    def test_a_failed_status_has_code_text_and_rule(self):
        (event,) = sample("status_failed_131026")
        assert (event.status, event.error_code) == ("failed", "131026")
        assert event.error_message == "Message undeliverable (Message Undeliverable.)"
        assert event.rule.outcome == Outcome.REJECTED

    def test_a_failed_status_may_lack_its_error(self):
        (event,) = sample("status_failed_without_errors")
        assert (event.status, event.error_code, event.rule) == ("failed", "", None)

    def test_a_timestamp_may_be_in_milliseconds(self):
        (event,) = sample("status_timestamp_integer_ms")
        assert event.at.year == 2026

    def test_seconds_become_aware_utc(self):
        (event,) = webhook.parse(payload(GOOD), DEFAULT_TABLE)
        assert event.at == datetime.fromtimestamp(1_794_700_000, UTC)

    def test_a_status_without_a_phone_number_is_read(self):
        (event,) = sample("status_delivered_bsuid_no_recipient_id")
        assert event.status == "delivered"

    def test_an_unknown_word_is_kept(self):
        (event,) = sample("status_unknown_value")
        assert isinstance(event, Receipt)
        assert event.status not in {"sent", "delivered", "read", "failed", "played"}

    def test_what_a_person_wrote_is_inbound(self):
        (event,) = sample("message_text_stop")
        assert isinstance(event, Inbound)
        assert (event.phone, event.bsuid) == ("+12025550123", "US.90000000000000000001")
        assert event.kind == "text"

    def test_a_person_may_hide_the_phone(self):
        (event,) = sample("message_text_bsuid_only")
        assert event.phone == ""
        assert event.bsuid

    def test_a_status_tells_the_price(self):
        (event,) = sample("status_sent_v24_no_conversation")
        assert event.pricing.count("/") == 2
        assert event.pricing.startswith("PMP/")

    def test_other_fields_are_kept_unread(self):
        (event,) = sample("unknown_field")
        assert isinstance(event, Unhandled)
        assert event.topic == "some_future_field"

    @pytest.mark.parametrize(
        "poison",
        [
            7,
            {},
            {"id": "wamid.2"},
            {"id": "w" * 256, "status": "sent", "timestamp": "1"},
            {"id": "wamid.2", "status": "sent", "timestamp": "soon"},
            {"id": "wamid.2", "status": "sent", "timestamp": "9" * 30},
        ],
    )
    def test_a_poisonous_item_does_not_disturb_its_neighbours(self, poison):
        events = webhook.parse(payload(GOOD, poison, GOOD), DEFAULT_TABLE)
        assert [type(event) for event in events] == [Receipt, Unhandled, Receipt]
        assert events[1].error

    def test_nul_characters_are_taken_out(self):
        status = {**GOOD, "biz_opaque_callback_data": "a\0b", "status": "se\0nt"}
        (event,) = webhook.parse(payload(status), DEFAULT_TABLE)
        assert (event.callback_data, event.status) == ("ab", "sent")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"entry": 1}', b"\xff\xfe"])
    def test_what_is_no_webhook_is_refused_as_a_whole(self, body):
        with pytest.raises(webhook.WebhookError):
            webhook.parse(body, DEFAULT_TABLE)

    def test_a_body_may_hold_more_events_than_meta_says(self):
        assert len(webhook.parse(payload(*[GOOD] * 6_000), DEFAULT_TABLE)) == 6_000

    @given(value=json_values)
    def test_any_json_is_read_or_refused(self, value):
        for body in (value, {"entry": value}, {"entry": [{"id": "1", "changes": value}]}):
            try:
                webhook.parse(json.dumps(body).encode(), DEFAULT_TABLE)
            except webhook.WebhookError:
                continue

    @given(value=json_values, name=st.sampled_from(["statuses", "messages", "errors", "contacts"]))
    def test_any_value_is_read(self, value, name):
        body = {"entry": [{"id": "1", "changes": [{"field": "messages", "value": {name: value}}]}]}
        webhook.parse(json.dumps(body).encode(), DEFAULT_TABLE)


class TestCallback:
    def test_what_was_encoded_is_decoded(self):
        text = callback.encode("outbound", "ab" * 16, 3)
        assert callback.decode(text) == callback.CallbackData("outbound", "ab" * 16, 3)
        assert len(text) < callback.LONGEST

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "x",
            "[]",
            '{"m":"01JB7Q2W","o":7}',
            '{"i":"o","m":"1","a":true}',
            '{"i":"o","m":"1","a":0}',
            '{"i":"o","m":1,"a":1}',
            "[" * 600,
        ],
    )
    def test_what_is_not_ours_is_nothing(self, text):
        assert callback.decode(text) is None

    @given(text=st.text(max_size=60) | json_values.map(json.dumps))
    def test_whatever_comes_is_answered(self, text):
        callback.decode(text)


def test_a_preference_says_who_wants_what_about_marketing():
    (event,) = sample("user_preferences_stop")
    assert isinstance(event, Preference)
    assert (event.phone, event.value, event.is_marketing) == ("+12025550123", "stop", True)
    assert event.bsuid.startswith("US.")
