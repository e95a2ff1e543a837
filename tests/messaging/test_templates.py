"""Template messages against our copy of Meta's templates, before anything is queued."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from consent.contacts import Recipient
from messaging import template_cache
from messaging.intake import templates
from messaging.intake.requests import MessageRequest
from messaging.models import OutboundMessage
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import PhoneNumberFactory, TemplateFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/outbound-messages"
PHONE = "+12025550123"
VALUES = [{"type": "body", "parameters": [{"type": "text", "text": t} for t in ("Ana", "#1")]}]


@pytest.fixture
def contact(org):
    contact = ContactFactory(org=org, phone=PHONE)
    ConsentFactory(contact=contact)
    return contact


@pytest.fixture
def synced(number):
    """The account's templates have been read just now."""
    account = number.account
    account.templates_synced_at = account.templates_asked_at = timezone.now()
    account.templates_due_at = timezone.now() + timedelta(minutes=15)
    account.save()
    return account


def send(api, *, components=VALUES, **changes):
    template = {"name": "order_update", "language": "en_US", "components": components}
    body = {"to": PHONE, "type": "template", "template": template, **changes}
    return api.post(URL, {k: v for k, v in body.items() if v is not None}, format="json")


def first_error(answer):
    error = answer.json()["errors"][0]
    return answer.status_code, error["field"], error["code"]


class TestBeforeTheFirstReading:
    def test_a_message_is_taken_and_the_answer_says_it_was_not_checked(self, api, number, contact):
        answer = send(api, components=[], category="utility")
        assert answer.status_code == 201
        assert [item["code"] for item in answer.json()["warnings"]] == ["templates_not_synced"]

    def test_the_category_must_be_told(self, api, number, contact):
        assert first_error(send(api)) == (422, "category", "required")


class TestKnownTemplate:
    @pytest.fixture(autouse=True)
    def template(self, synced):
        return TemplateFactory(account=synced)

    def test_what_fits_is_queued_with_the_category_of_the_template(self, api, contact):
        answer = send(api)
        assert answer.status_code == 201
        assert (answer.json()["category"], answer.json()["warnings"]) == ("utility", [])

    def test_a_missing_parameter_is_named(self, api, contact):
        one = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}]
        assert first_error(send(api, components=one)) == (
            422,
            "template.components[0].parameters",
            "wrong_count",
        )
        assert not OutboundMessage.objects.exists()

    def test_marketing_needs_the_marketing_consent_whatever_the_client_says(
        self, api, contact, template
    ):
        template.category = "MARKETING"
        template.save()
        assert send(api, category="utility").json()["code"] == "consent_required"

    def test_the_client_may_be_stricter(self, api, contact):
        assert send(api, category="marketing").json()["code"] == "consent_required"

    def test_a_code_cannot_go_to_a_bsuid(self, api, org, template):
        template.category = "AUTHENTICATION"
        template.save()
        contact = ContactFactory(org=org, phone=None, bsuid="US.13491208655302741918")
        ConsentFactory(contact=contact)
        answer = send(api, to=None, to_bsuid=contact.bsuid)
        assert first_error(answer) == (422, "to_bsuid", "invalid")

    @pytest.mark.parametrize("status", ["REJECTED", "DISABLED", "DELETED", "PENDING", "ARCHIVED"])
    def test_one_that_cannot_be_sent_is_refused(self, api, contact, template, status):
        template.status = status
        template.save()
        assert first_error(send(api)) == (422, "template.name", "template_not_sendable")

    def test_one_that_is_paused_is_queued_with_a_warning(self, api, contact, template):
        template.status = "PAUSED"
        template.save()
        answer = send(api)
        assert answer.status_code == 201
        assert [item["code"] for item in answer.json()["warnings"]] == ["template_paused"]

    def test_a_word_we_do_not_know_leaves_the_decision_to_meta(self, api, contact, template):
        template.status = "SOMETHING_NEW"
        template.save()
        assert send(api).status_code == 201

    def test_a_key_used_before_still_gives_its_message(self, api, contact, template):
        first = send(api, idempotency_key="k1")
        template.status = "DISABLED"
        template.save()
        template_cache.forget_all()
        again = send(api, idempotency_key="k1")
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])

    def test_each_message_of_a_batch_is_judged_by_itself(self, api, contact):
        good = {
            "to": PHONE,
            "type": "template",
            "template": {"name": "order_update", "language": "en_US", "components": VALUES},
        }
        wrong = {**good, "template": {"name": "order_update", "language": "en_US"}}
        answer = api.post(f"{URL}/batch", {"messages": [wrong, good]}, format="json")
        assert [item["status"] for item in answer.json()["results"]] == [422, 201]

    def test_another_organizations_template_of_the_same_name_says_nothing(
        self, api, contact, template
    ):
        TemplateFactory(account=PhoneNumberFactory().account, components=[], category="MARKETING")
        assert send(api).json()["category"] == "utility"

    def test_a_remembered_template_costs_no_query(self, org, contact, django_assert_num_queries):
        content = {"name": "order_update", "language": {"code": "en_US"}, "components": VALUES}
        request = MessageRequest(Recipient(PHONE, None), "template", content, "", "f" * 64)
        templates.judge(org, [request])
        with django_assert_num_queries(0):
            (judged,) = templates.judge(org, [request])
        assert judged.request.category == "utility"


class TestUnknownTemplate:
    def test_it_is_refused_and_the_account_is_read_again(self, api, contact, synced):
        assert first_error(send(api)) == (422, "template.name", "unknown_template")
        before = synced.templates_due_at
        synced.refresh_from_db()
        asked = synced.templates_asked_at
        assert synced.templates_due_at < before
        assert synced.templates_due_at >= asked + timedelta(seconds=60)


class TestOverTheApi:
    def test_templates_are_listed_without_asking_meta(self, api, synced):
        TemplateFactory(account=synced)
        TemplateFactory(account=synced, name="welcome", status="PAUSED")
        TemplateFactory(account=PhoneNumberFactory().account, name="foreign")
        rows = api.get("/api/v1/templates").json()["results"]
        assert [row["name"] for row in rows] == ["order_update", "welcome"]
        (row,) = api.get("/api/v1/templates?status=PAUSED").json()["results"]
        assert (row["name"], row["waba_id"]) == ("welcome", synced.waba_id)

    def test_a_reading_is_asked_for(self, api, synced):
        answer = api.post("/api/v1/templates/sync")
        assert (answer.status_code, json.loads(answer.content)) == (202, {"accounts": 1})
        before = synced.templates_due_at
        synced.refresh_from_db()
        assert synced.templates_due_at < before


class TestInTheConsole:
    def test_the_page_draws_the_template_with_its_examples(self, client, admin_user, synced):
        template = TemplateFactory(
            account=synced,
            components=[
                {
                    "type": "BODY",
                    "text": "Hi *{{1}}* <b>",
                    "example": {"body_text": [["Ana"]]},
                }
            ],
        )
        client.force_login(admin_user)
        html = client.get(
            reverse("admin:messaging_messagetemplate_change", args=[template.pk])
        ).content.decode()
        assert "<strong>Ana</strong> &lt;b&gt;" in html

    def test_the_list_has_a_button_that_has_them_read(self, client, admin_user, synced):
        client.force_login(admin_user)
        page = reverse("admin:messaging_messagetemplate_changelist")
        assert "Read from Meta now" in client.get(page).content.decode()
        before = synced.templates_due_at
        address = reverse("admin:messaging_messagetemplate_read_again")
        asked = client.get(address)
        synced.refresh_from_db()
        assert (asked.status_code, synced.templates_due_at) == (200, before)
        client.post(address)
        synced.refresh_from_db()
        assert synced.templates_due_at < before
