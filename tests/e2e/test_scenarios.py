"""The specification's scenarios, through real HTTP, a real worker and the sandbox."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json

import pytest
import requests

from tests.e2e.installation import META_SECRETS, NUMBER
from tests.e2e.stack import Stack, wait_until

APP_SECRET = META_SECRETS["WHATSAPP_APP_SECRET"]
VERIFY_TOKEN = META_SECRETS["WHATSAPP_VERIFY_TOKEN"]

pytestmark = [pytest.mark.e2e, pytest.mark.core]

WEBHOOK = "webhooks/whatsapp/inbound"
_people = itertools.count(2000)


def somebody() -> str:
    """A person of no special behaviour, new each time."""
    return f"+1202555{next(_people)}"


def post_webhook(stack: Stack, payload: object, *, secret: str = APP_SECRET) -> requests.Response:
    body = json.dumps(payload).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return requests.post(
        f"{stack.base_url}/api/v1/{WEBHOOK}",
        data=body,
        headers={"X-Hub-Signature-256": f"sha256={signature}"},
        timeout=10,
    )


def status_payload(wamid: str, status: str) -> dict[str, object]:
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "100000000000001",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "metadata": {"phone_number_id": NUMBER},
                            "statuses": [
                                {"id": wamid, "status": status, "timestamp": "1794700000"}
                            ],
                        },
                    }
                ],
            }
        ],
    }


def test_a_template_message_goes_from_the_api_to_read(stack: Stack):
    message_id = stack.queue(somebody())
    message = stack.wait_for(message_id, lambda m: m["read_at"])
    assert message["status"] == "DELIVERED"
    kinds = [line["kind"] for line in message["timeline"]]
    assert [kind for kind in kinds if kind != "accepted"] == [
        "sending",
        "sent",
        "delivered",
        "read",
    ]
    assert message["accepted_at"]
    assert message["provider_message_id"].startswith("wamid.")


def test_a_person_who_never_reads_ends_delivered(stack: Stack):
    message = stack.wait_status(stack.queue("+12025550100"), "DELIVERED")
    assert message["read_at"] is None


def test_read_without_delivered_counts_as_both(stack: Stack):
    message = stack.wait_for(stack.queue("+12025550102"), lambda m: m["read_at"])
    assert message["delivered_at"] == message["read_at"]


def test_a_failed_status_keeps_code_and_text(stack: Stack):
    message = stack.wait_status(stack.queue("+12025550120"), "FAILED")
    assert message["error_code"] == "131026"
    assert "Message undeliverable" in message["error_message"]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (None, "No consent found"),
        ("DENIED", "Consent is DENIED"),
        ("REVOKED", "Consent is REVOKED"),
    ],
)
def test_without_consent_nothing_is_queued(stack: Stack, status, found):
    phone = somebody()
    if status:
        stack.consent(phone, status=status)
    answer = stack.send(phone)
    assert answer.status_code == 422
    assert answer.json()["detail"] == f"Consent required: {found} for channel WHATSAPP"


def test_transient_failures_are_retried_until_it_is_delivered(stack: Stack):
    message = stack.wait_status(stack.queue("+12025550111"), "DELIVERED")
    assert [attempt["outcome"] for attempt in message["attempts"]] == [
        "RETRY",
        "RETRY",
        "ACCEPTED",
    ]


def test_a_message_that_always_fails_lands_in_the_dlq_and_can_be_requeued(stack: Stack):
    message_id = stack.queue("+12025550112")
    message = stack.wait_status(message_id, "FAILED")
    assert (message["attempt_count"], message["error_code"]) == (5, "131016")
    dead = stack.api("GET", "outbound-messages/dlq").json()["results"]
    assert message_id in {row["id"] for row in dead}
    stack.sandbox("POST", "rules", json={"recipient": "+12025550112", "behaviours": ["ok"]})
    assert stack.api("POST", f"outbound-messages/{message_id}/retry").status_code == 200
    message = stack.wait_status(message_id, "DELIVERED")
    assert len(message["attempts"]) == 6


def test_a_permanent_refusal_fails_at_once(stack: Stack):
    message = stack.wait_status(stack.queue("+12025550126"), "FAILED")
    assert (message["error_code"], len(message["attempts"])) == ("131009", 1)


@pytest.mark.parametrize("last", ["0113", "0114", "0115"])
def test_a_throttle_delays_and_charges_nothing(stack: Stack, last):
    message = stack.wait_status(stack.queue(f"+1202555{last}"), "DELIVERED", 30)
    assert (message["attempts"][0]["outcome"], message["attempt_count"]) == ("THROTTLED", 1)


def test_an_async_transient_failure_is_retried(stack: Stack):
    message = stack.wait_status(stack.queue("+12025550124"), "DELIVERED")
    assert len(message["attempts"]) == 2


@pytest.mark.parametrize("last", ["0125", "0134", "0135", "0136", "0137", "0138", "0139"])
def test_statuses_converge_however_they_come(stack: Stack, last):
    message_id = stack.queue(f"+1202555{last}")
    stack.wait_status(message_id, "DELIVERED")
    assert len(stack.ledger_of(message_id)) == 1


@pytest.mark.parametrize("last", ["0130", "0131", "0141", "0142"])
def test_a_lost_answer_is_proved_by_its_statuses_and_not_sent_twice(stack: Stack, last):
    message_id = stack.queue(f"+1202555{last}")
    message = stack.wait_status(message_id, "DELIVERED")
    # The answer may still be outstanding: the attempt is settled when it has come or is lost.
    stack.wait_for(message_id, lambda m: m["attempts"][0]["finished_at"])
    assert len(stack.ledger_of(message_id)) == 1
    assert message["attempts"][0]["outcome"] == "ACCEPTED"


def test_a_lost_answer_without_evidence_is_sent_again(stack: Stack):
    stack.sandbox(
        "POST",
        "rules",
        json={"recipient": "+12025552999", "behaviours": ["drop_silent", "ok"]},
    )
    message_id = stack.queue("+12025552999")
    message = stack.wait_status(message_id, "DELIVERED", 40)
    assert [attempt["outcome"] for attempt in message["attempts"]] == ["UNKNOWN", "ACCEPTED"]


def test_an_idempotent_replay_sends_once(stack: Stack):
    phone = somebody()
    stack.consent(phone)
    body = {
        "to": phone,
        "type": "template",
        "category": "marketing",
        "template": {"name": "welcome_offer", "language": "en_US"},
    }
    stack.consent(phone, purpose="marketing")
    answers = [
        stack.api("POST", "outbound-messages", json=body, headers={"Idempotency-Key": "once"})
        for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    message_id = answers[0].json()["id"]
    stack.wait_status(message_id, "DELIVERED")
    assert len(stack.ledger_of(message_id)) == 1


def test_a_wrong_signature_is_refused(stack: Stack):
    message_id = stack.queue("+12025550103")
    message = stack.wait_status(message_id, "SENT")
    payload = status_payload(message["provider_message_id"], "delivered")
    assert post_webhook(stack, payload, secret="wrong").status_code == 401
    assert post_webhook(stack, payload).status_code == 200
    stack.wait_status(message_id, "DELIVERED")


def test_an_unknown_wamid_is_taken_and_disturbs_nothing(stack: Stack):
    assert post_webhook(stack, status_payload("wamid.unknown", "delivered")).status_code == 200
    stack.wait_status(stack.queue(somebody()), "DELIVERED")


def test_metas_challenge_is_answered(stack: Stack):
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": "1158201444",
        "hub.verify_token": VERIFY_TOKEN,
    }
    url = f"{stack.base_url}/api/v1/{WEBHOOK}"
    answer = requests.get(url, params=query, timeout=10)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    wrong = requests.get(url, params={**query, "hub.verify_token": "x"}, timeout=10)
    assert wrong.status_code == 403


def test_a_person_who_writes_opens_the_window_for_free_form(stack: Stack):
    phone = somebody()
    stack.consent(phone)
    text = {"to": phone, "type": "text", "text": {"body": "hi"}}
    refused = stack.api("POST", "outbound-messages", json=text)
    assert refused.json()["code"] == "outside_service_window"
    stack.sandbox(
        "POST", "inbound", json={"phone_number_id": NUMBER, "from": phone, "text": "hello"}
    )
    answer = wait_until(
        lambda: (a := stack.api("POST", "outbound-messages", json=text)).ok and a,
        20,
        "an open window",
    )
    stack.wait_status(answer.json()["id"], "DELIVERED")


def test_a_revoked_consent_stops_a_message_that_waits_for_its_retry(stack: Stack):
    phone = somebody()
    stack.sandbox(
        "POST",
        "rules",
        json={"recipient": phone, "behaviours": [{"error": {"code": 131056}}], "repeat": "always"},
    )
    message_id = stack.queue(phone)
    stack.wait_for(message_id, lambda m: len(m["attempts"]) >= 2)
    stack.consent(phone, status="REVOKED")
    message = stack.wait_status(message_id, "CANCELLED")
    assert message["error_code"] == "CONSENT_REVOKED"


def test_health_says_what_is_up(stack: Stack):
    assert requests.get(f"{stack.base_url}/healthz", timeout=5).json() == {"status": "ok"}
    checks = requests.get(f"{stack.base_url}/readyz", timeout=5).json()["checks"]
    assert checks["database"] == "ok"


def test_the_docs_page_loads_nothing_from_elsewhere(stack: Stack):
    page = requests.get(f"{stack.base_url}/api/docs/", timeout=10)
    assert page.status_code == 200
    assert "http://" not in page.text.replace(stack.base_url, "")
    assert "https://" not in page.text
    schema = requests.get(f"{stack.base_url}/api/schema/", timeout=10)
    assert "/api/v1/outbound-messages" in schema.text


def test_logs_hold_ids_but_no_phone_body_or_token(stack: Stack):
    phone, refused = somebody(), "+12025550126"
    stack.wait_status(stack.queue(phone, reference="log-check"), "DELIVERED")
    stack.wait_status(stack.queue(refused), "FAILED")
    names = {"embedded", "worker", "web"} & set(stack.processes)
    text = "".join(stack.processes[name].text() for name in names)
    assert "Attempt finished" in text
    for secret in (phone[1:], refused[1:], "e2e-token", stack.api_key, "#1042", APP_SECRET):
        assert secret not in text


def test_whoever_sets_it_up_can_check_the_webhooks(stack: Stack):
    told = stack.manage("check_webhook", "300000000000001", stack.base_url)
    assert told.endswith("All is well.")
    told = stack.refused("check_webhook", "300000000000001", "http://127.0.0.1:1")
    assert "does not answer" in told


@pytest.mark.full
def test_a_template_paused_by_meta_holds_its_messages_until_it_is_approved_again(stack: Stack):
    stack.manage("sync_templates")
    stack.sandbox("POST", "template", json={"name": "order_update", "status": "PAUSED"})
    try:
        wait_until(
            lambda: (
                stack.api("GET", "templates?name=order_update").json()["results"][0]["status"]
                == "PAUSED"
            ),
            20,
            "the news of the pause",
        )
        message_id = stack.queue(somebody())
        held = stack.wait_for(message_id, lambda m: m["hold_reason"])
        assert (held["status"], held["hold_reason"]) == ("QUEUED", "template")
        assert stack.ledger_of(message_id) == []
    finally:
        stack.sandbox("POST", "template", json={"name": "order_update", "status": "APPROVED"})
    # Messages held for their template are looked at again every 30 seconds.
    message = stack.wait_status(message_id, "DELIVERED", seconds=60)
    assert message["attempt_count"] == 1
