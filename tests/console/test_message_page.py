"""The page of one message: what it tells, what it keeps to itself, and why nothing goes."""

from __future__ import annotations

import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from consent import ledger
from consent.models import Source
from messaging.models import OutboundMessage, WebhookDelivery, WebhookEvent
from messaging.operations import Instruction, requeue
from messaging.states import Cause, Status
from orgs import audit, database
from orgs.models import AuditEvent
from tests.factories.messaging import AttemptFactory, MessageFactory, TemplateFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

UNMASKED, OPENED = "message-unmasked", "message-opened"
SECRET_TEXT = "your code is 4711"


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def failed(number) -> OutboundMessage:
    TemplateFactory(account=number.account)
    message = MessageFactory(
        phone_number=number,
        status=Status.FAILED,
        error_code="131026",
        contact__phone="+12025550123",
        payload={
            "name": "order_update",
            "language": {"code": "en_US"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": SECRET_TEXT}]}],
        },
        last_attempt_number=1,
        attempt_count=1,
    )
    at = timezone.now() - timedelta(days=1)
    decision = ledger.Entry(
        message.contact_id, "WHATSAPP", "transactional", Source.IMPORT, "user:0", at
    )
    ledger.grant(message.org, [decision])
    AttemptFactory(
        message=message,
        outcome="REJECTED",
        charged=True,
        duration_ms=312,
        http_status=400,
        error_code="131026",
        error_message="Message undeliverable",
        trace_id="AbCd",
        provider_message_id="wamid.abc",
    )
    return message


def page(client, message, **query):
    url = reverse("admin:messaging_outboundmessage_change", args=[message.pk])
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_timeline_tells_of_every_source_in_order(client, staff, failed):
    now = timezone.now()
    delivery = WebhookDelivery.objects.create(
        app=failed.phone_number.account.app, received_at=now, body=b"{}"
    )
    WebhookEvent.objects.create(
        delivery=delivery,
        org=failed.org,
        topic="failed",
        result=WebhookEvent.Result.UNCHANGED,
        message_id=failed.pk,
        recorded_at=now,
        position=0,
    )
    audit.record(
        [audit.Entry(failed.org_id, f"user:{staff.pk}", "message.opened", f"message:{failed.pk}")]
    )
    requeue([failed.pk], Instruction(f"user:{staff.pk}", Cause.STAFF, "number corrected"))
    html = page(client, failed)
    told = [
        "Consent for transactional: granted",
        "Attempt 1: rejected, 312 ms",
        "Webhook: failed",
        "Message opened",
        "Requeued by staff",
    ]
    for text in told:
        assert text in html
    assert html.index(told[0]) < html.index(told[1]) < html.index(told[4])
    assert "They may have no WhatsApp" in html  # the advice
    assert "by ada" in html
    assert "number corrected" in html
    assert "wamid.abc" in html
    assert "Hi " in html  # the template as a picture


def test_who_lifted_what_holds_others_too_is_not_for_everybody(client, failed, org):
    app = failed.phone_number.account.app.app_id
    actor = staff_user(orgs=())
    audit.record(
        [
            audit.Entry(None, f"user:{actor.pk}", "hold.lifted", f"app:{app}", "called globex"),
            audit.Entry(
                org.pk, f"user:{actor.pk}", "hold.lifted", f"organization:{org.org_id}", "ours"
            ),
        ]
    )
    OutboundMessage.objects.filter(pk=failed.pk).update(updated_at=database.now())
    page = reverse("admin:messaging_outboundmessage_change", args=[failed.pk])
    client.force_login(staff_user("view_outboundmessage", orgs=(org,)))
    text = client.get(page).content.decode()
    assert text.count("Hold lifted") == 2
    assert text.count(f"by {actor.get_username()}") == 1
    assert "ours" in text
    assert "called globex" not in text
    client.force_login(staff_user("view_outboundmessage"))
    assert "called globex" in client.get(page).content.decode()


def test_neither_the_phone_nor_the_words_are_told(client, staff, failed):
    html = page(client, failed, explain=1)
    assert "2025550123" not in html
    assert SECRET_TEXT not in html
    assert "[hidden]" in html
    assert "order_update" in html


def test_whoever_opens_the_content_sees_the_template_with_what_the_person_is_told(client, failed):
    show = reverse("admin:messaging_outboundmessage_show_content", args=[failed.pk])
    client.force_login(staff_user("view_outboundmessage"))
    assert show not in page(client, failed)
    assert client.post(show).status_code == 403
    client.force_login(staff_user("view_outboundmessage", "open_content"))
    html = page(client, failed)
    assert f'href="{show}"' in html
    assert SECRET_TEXT not in html + client.get(show).content.decode()
    assert not AuditEvent.objects.filter(action="message.opened").exists()
    shown = client.post(show, {"reason": "a complaint"}).content.decode()
    bubble = shown.partition("console-bubble")[2]
    assert f"Hi {SECRET_TEXT}, order" in bubble
    assert AuditEvent.objects.get(action="message.opened").reason == "a complaint"


def test_a_message_without_a_template_we_know_is_opened_as_text(client, staff, number):
    message = MessageFactory(phone_number=number, payload={"body": SECRET_TEXT}, template_name="")
    show = reverse("admin:messaging_outboundmessage_show_content", args=[message.pk])
    shown = client.post(show, {"reason": ""}).content.decode()
    assert SECRET_TEXT in shown
    assert "console-bubble" not in shown


def test_a_dead_letter_leads_to_the_same_page(client, staff, failed):
    answer = client.get(reverse("admin:messaging_deadletter_change", args=[failed.pk]))
    assert answer.url == reverse("admin:messaging_outboundmessage_change", args=[failed.pk])


def test_it_offers_what_the_status_allows(client, staff, failed, number):
    html = page(client, failed)
    assert ">Requeue<" in html
    assert ">Cancel<" not in html
    html = page(client, MessageFactory(phone_number=number))
    assert ">Cancel<" in html
    assert ">Requeue<" not in html


def test_an_unknown_message_is_no_error(client, staff):
    url = reverse("admin:messaging_outboundmessage_change", args=[uuid.uuid4()])
    assert client.get(url).status_code == 302


def test_few_queries_however_long_the_timeline(
    client, staff, failed, django_assert_max_num_queries
):
    for attempt in range(2, 30):
        AttemptFactory(message=failed, attempt_number=attempt)
    with django_assert_max_num_queries(29):
        page(client, failed, explain=1)


HIDDEN = [
    (UNMASKED, "unmask_person", "+12025550123", "message.unmasked"),
    (OPENED, "open_content", SECRET_TEXT, "message.opened"),
]


@pytest.mark.parametrize(("page", "right", "value", "action"), HIDDEN)
def test_what_is_hidden_is_shown_to_who_may_by_one_more_click(
    client, failed, page, right, value, action
):
    user = staff_user("view_outboundmessage", right)
    client.force_login(user)
    url = f"/admin/messaging/outboundmessage/{failed.pk}/{page}/"
    asked = client.get(url)
    assert asked.status_code == 200
    assert value not in asked.content.decode()
    assert not AuditEvent.objects.filter(action=action).exists()  # nobody has seen anything

    shown = client.post(url, {"reason": "the person has called"})
    assert value in unescape(shown.content.decode())
    assert "no-store" in shown.headers["Cache-Control"]
    event = AuditEvent.objects.get(action=action)
    assert (event.actor, event.org) == (f"user:{user.pk}", failed.org)
    assert (event.target, event.reason) == (
        f"outboundmessage:{failed.pk}",
        "the person has called",
    )
    assert value not in str([event.before, event.after])


@pytest.mark.parametrize(("page", "right", "value", "action"), HIDDEN)
@pytest.mark.parametrize("other", [False, True])
def test_what_is_hidden_stays_so_for_who_may_not(client, failed, page, right, value, action, other):
    """Nor does the right to one of the two open the other."""
    others = {each for _page, each, *_rest in HIDDEN} - {right}
    client.force_login(staff_user("view_outboundmessage", *(others if other else ())))
    url = f"/admin/messaging/outboundmessage/{failed.pk}/{page}/"
    for answer in (client.get(url), client.post(url, {"reason": "curious"})):
        assert answer.status_code == 403
        assert value not in answer.content.decode()
    assert not AuditEvent.objects.filter(action=action).exists()
