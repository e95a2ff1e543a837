from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from consent.models import Decision
from messaging.models import MessageEvent, OutboundMessage, ServiceWindow
from messaging.states import Status
from orgs import database
from orgs.models import AuditEvent
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/outbound-messages"
PHONE = "+12025550123"
TEMPLATE = {"name": "order_update", "language": "en_US"}


@pytest.fixture
def consent(org, number):
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))


def body(**fields: object) -> dict[str, object]:
    return {
        "to": PHONE,
        "type": "template",
        "category": "utility",
        "template": TEMPLATE,
        **fields,
    }


def post(api, data, **extra):
    return api.post(URL, data, format="json", **extra)


def fields_of(answer) -> set[str]:
    return {error["field"] for error in answer.json()["errors"]}


def test_a_message_with_consent_is_queued(api, consent):
    answer = post(api, body(reference="order 7", metadata={"order": 7}))
    assert answer.status_code == 201
    message = OutboundMessage.objects.get(pk=answer.json()["id"])
    assert (message.status, message.to_recipient, message.purpose) == (
        Status.QUEUED,
        PHONE,
        "transactional",
    )
    assert answer.json()["reference"] == "order 7"
    assert MessageEvent.objects.get(message=message).kind == "accepted"


def test_the_phone_number_is_brought_into_e164(api, consent):
    assert post(api, body(to="+1 (202) 555-0123")).json()["to"] == PHONE


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (None, "Consent required: No consent found for channel WHATSAPP"),
        (Decision.DENIED, "Consent required: Consent is DENIED for channel WHATSAPP"),
        (Decision.REVOKED, "Consent required: Consent is REVOKED for channel WHATSAPP"),
    ],
)
def test_without_consent_nothing_is_queued(api, org, number, status, text):
    if status:
        ConsentFactory(contact=ContactFactory(org=org, phone=PHONE), status=status)
    answer = post(api, body())
    assert (answer.status_code, answer.json()["code"]) == (422, "consent_required")
    assert answer.json()["detail"] == text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert not OutboundMessage.objects.exists()


def test_an_expired_consent_is_no_consent(api, consent):
    consent.expires_at = timezone.now() - timedelta(seconds=1)
    consent.save()
    assert "EXPIRED" in post(api, body()).json()["detail"]


def test_marketing_needs_a_consent_of_its_own(api, consent):
    assert post(api, body(category="marketing")).json()["code"] == "consent_required"


def test_a_consent_given_to_another_organization_does_not_count(api, number, other_org):
    ConsentFactory(contact=ContactFactory(org=other_org, phone=PHONE))
    assert post(api, body()).json()["code"] == "consent_required"


def test_free_form_outside_the_window_is_refused(api, consent):
    answer = post(api, {"to": PHONE, "type": "text", "text": {"body": "hi"}})
    assert (answer.status_code, answer.json()["code"]) == (422, "outside_service_window")


def test_free_form_inside_the_window_is_queued(api, org, number, consent):
    ServiceWindow.objects.create(
        org=org, phone_number=number, contact=consent.contact, last_inbound_at=timezone.now()
    )
    answer = post(api, {"to": PHONE, "type": "text", "text": {"body": "hi"}})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "12025550123"}, "to"),
        ({"to": "+1202"}, "to"),
        ({"to": ""}, "to"),
        ({"to_bsuid": "US.123"}, "to"),
        ({"type": "telegram"}, "type"),
        ({"template": None}, "template"),
        ({"template": {"name": "order_update"}}, "template.language"),
        ({"category": None}, "category"),
        ({"category": "spam"}, "category"),
        ({"text": {"body": "x"}}, "text"),
        ({"expires_at": "yesterday"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"from": "999"}, "from"),
        ({"metadata": {"x": "y" * 5000}}, "metadata"),
        ({"reference": "x" * 256}, "reference"),
        ({"priority": "urgent"}, "priority"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(api, consent, change, field):
    answer = post(api, body(**change))
    assert answer.status_code in {400, 422}
    assert field in fields_of(answer)
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    ("kind", "content", "field"),
    [
        ("image", {}, "image"),
        ("image", {"id": "1", "link": "https://example.com/a.jpg"}, "image"),
        ("text", {"body": "x" * 4097}, "text.body"),
        ("text", {}, "text.body"),
    ],
)
def test_wrong_content_is_named(api, consent, kind, content, field):
    answer = post(api, {"to": PHONE, "type": kind, kind: content})
    assert answer.status_code == 422
    assert any(name.startswith(field) for name in fields_of(answer))


def test_malformed_json_is_400(api, consent):
    answer = api.post(URL, b'{"to": ', content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_another_content_type_is_415(api, consent):
    answer = api.post(URL, b"to=1", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415


def test_a_body_over_the_limit_is_413(api, consent, settings):
    settings.OUTBOUND_API_MAX_BODY_BYTES = 2000
    assert post(api, body(metadata={"x": "y" * 3000})).status_code == 413


def test_the_only_number_need_not_be_named_but_one_of_several_must(api, org, consent):
    PhoneNumberFactory(org=org)
    answer = post(api, body())
    assert answer.json()["code"] == "number_required"


def test_the_number_of_another_organization_is_unknown(api, consent, other_org):
    stranger = PhoneNumberFactory(org=other_org)
    answer = post(api, body(**{"from": stranger.phone_number_id}))
    assert answer.json()["code"] == "unknown_number"


class TestIdempotency:
    def test_the_same_key_and_body_give_the_same_message(self, api, consent):
        first = post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        second = post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.headers["Idempotent-Replayed"] == "true"
        assert first.json()["id"] == second.json()["id"]
        assert OutboundMessage.objects.count() == 1

    def test_the_key_may_stand_in_the_body(self, api, consent):
        first = post(api, body(idempotency_key="k1"))
        second = post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        assert first.json()["id"] == second.json()["id"]

    def test_another_body_under_the_same_key_is_refused(self, api, consent):
        post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        answer = post(api, body(reference="other"), HTTP_IDEMPOTENCY_KEY="k1")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")

    def test_a_refused_request_does_not_use_its_key_up(self, api, org, number):
        refused = post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
        assert refused.status_code == 422
        assert post(api, body(), HTTP_IDEMPOTENCY_KEY="k1").status_code == 201

    def test_a_replay_answers_even_after_the_consent_was_revoked(self, api, consent):
        first = post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        consent.status = Decision.REVOKED
        consent.save()
        assert post(api, body(), HTTP_IDEMPOTENCY_KEY="k1").json()["id"] == first.json()["id"]

    def test_two_organizations_may_use_the_same_key(self, api, consent, other_org, client_of):
        ConsentFactory(contact=ContactFactory(org=other_org, phone=PHONE))
        PhoneNumberFactory(org=other_org)
        post(api, body(), HTTP_IDEMPOTENCY_KEY="k1")
        answer = post(client_of(other_org), body(), HTTP_IDEMPOTENCY_KEY="k1")
        assert answer.status_code == 201

    @pytest.mark.parametrize("key", ["", " ", "x" * 256])
    def test_an_unusable_key_is_refused(self, api, consent, key):
        assert post(api, body(), HTTP_IDEMPOTENCY_KEY=key).status_code == 422


class TestReading:
    def test_a_message_shows_its_attempts_and_timeline(self, api, consent):
        made = post(api, body()).json()
        shown = api.get(f"{URL}/{made['id']}").json()
        assert shown["content"]["name"] == "order_update"
        assert shown["attempts"] == []
        assert [line["kind"] for line in shown["timeline"]] == ["accepted"]

    def test_the_list_is_paged_by_cursor(self, api, number):
        for _ in range(5):
            MessageFactory(phone_number=number)
        first = api.get(URL, {"page_size": 3}).json()
        second = api.get(first["next"]).json()
        ids = [row["id"] for row in (*first["results"], *second["results"])]
        assert len(set(ids)) == 5
        assert second["next"] is None

    def test_the_list_is_filtered(self, api, number):
        failed = MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")
        MessageFactory(phone_number=number)
        for query in ({"status": "FAILED"}, {"error_code": "131026"}, {"to": failed.to_recipient}):
            rows = api.get(URL, query).json()["results"]
            assert [row["id"] for row in rows] == [str(failed.pk)]

    def test_an_unknown_filter_value_is_named(self, api, number):
        answer = api.get(URL, {"status": "LOST"})
        assert answer.status_code == 400
        assert "status" in fields_of(answer)

    def test_the_messages_of_others_do_not_exist(self, api, other_org):
        stranger = MessageFactory(phone_number=PhoneNumberFactory(org=other_org))
        assert api.get(URL).json()["results"] == []
        for path in ("", "/cancel", "/retry"):
            method = api.post if path else api.get
            assert method(f"{URL}/{stranger.pk}{path}").status_code == 404


class TestCancelAndRetry:
    def test_a_queued_message_is_cancelled_and_audited(self, api, number):
        message = MessageFactory(phone_number=number)
        answer = api.post(f"{URL}/{message.pk}/cancel", {"reason": "typo"}, format="json")
        assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        audit = AuditEvent.objects.get(action="message.cancelled")
        assert (audit.reason, audit.target) == ("typo", f"message:{message.pk}")

    @pytest.mark.parametrize("status", [Status.SENDING, Status.SENT, Status.DELIVERED])
    def test_a_message_on_its_way_cannot_be_cancelled(self, api, number, status):
        message = MessageFactory(phone_number=number, status=status)
        answer = api.post(f"{URL}/{message.pk}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_status")

    def test_a_failed_message_is_retried_with_fresh_attempts(self, api, number):
        message = MessageFactory(phone_number=number, status=Status.FAILED, attempt_count=5)
        answer = api.post(f"{URL}/{message.pk}/retry")
        assert (answer.json()["status"], answer.json()["max_attempts"]) == ("QUEUED", 10)

    def test_retrying_twice_requeues_once(self, api, number):
        message = MessageFactory(phone_number=number, status=Status.FAILED)
        assert api.post(f"{URL}/{message.pk}/retry").status_code == 200
        assert api.post(f"{URL}/{message.pk}/retry").status_code == 409


class TestDeadLetters:
    def test_the_queue_lists_failed_messages_only(self, api, number):
        dead = MessageFactory(phone_number=number, status=Status.FAILED)
        MessageFactory(phone_number=number)
        rows = api.get(f"{URL}/dlq").json()["results"]
        assert [row["id"] for row in rows] == [str(dead.pk)]

    def test_the_report_counts_codes_and_keeps_campaign_outcomes_apart(self, api, number):
        for code in ("131026", "131026", "131049"):
            MessageFactory(phone_number=number, status=Status.FAILED, error_code=code)
        report = api.get(f"{URL}/dlq/report").json()
        assert (report["total"], report["campaign"]) == (2, 1)
        assert report["by_channel"] == {"WHATSAPP": 2}
        top = report["top_codes"][0]
        assert (top["code"], top["count"], top["campaign"]) == ("131026", 2, False)
        assert top["advice"]
        assert report["trend"] == {"last_24h": 2, "previous_24h": 0, "change": 2}
        (action,) = report["actions"]
        assert (action["code"], action["count"], action["requeue"]) == ("131026", 2, False)
        assert len(api.get(action["link"]).json()["results"]) == 2

    def test_the_report_does_not_count_other_organizations(self, api, other_org):
        MessageFactory(phone_number=PhoneNumberFactory(org=other_org), status=Status.FAILED)
        assert api.get(f"{URL}/dlq/report").json()["total"] == 0


def test_the_answer_never_echoes_a_wrong_value(api, consent):
    secret = "+4915112345678901234"
    assert secret not in json.dumps(post(api, body(to=secret)).json())


def test_a_client_can_ask_what_has_changed_since(org, api):
    number = PhoneNumberFactory(org=org)
    MessageFactory(phone_number=number)
    cancelled = MessageFactory(phone_number=number)
    moment = database.now()
    assert api.post(f"{URL}/{cancelled.pk}/cancel", {}, format="json").status_code == 200
    changed = api.get(URL, {"updated_after": moment.isoformat()}).json()["results"]
    assert [row["id"] for row in changed] == [str(cancelled.pk)]
