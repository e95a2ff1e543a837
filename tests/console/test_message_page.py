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
from consent.models import Consent, Source
from messaging import explaining
from messaging.models import OutboundMessage, WebhookDelivery, WebhookEvent
from messaging.operations import Instruction, requeue
from messaging.states import Cause, Status
from messaging.waiting import Board
from orgs import audit, database
from orgs.models import AuditEvent
from ratelimit import holds, quota
from ratelimit.holds import HoldRequest
from ratelimit.models import Hold, WhatsAppRateLimit
from tests.factories.consent import ConsentFactory
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


class TestExplain:
    """Each rule that the claim asks, made to fail alone."""

    @pytest.fixture
    def message(self, number) -> OutboundMessage:
        message = MessageFactory(phone_number=number)
        ConsentFactory(contact=message.contact)
        return message

    def failing(self, message) -> dict[str, explaining.Rule]:
        fresh = OutboundMessage.objects.select_related(
            "contact", "org", "phone_number__org", "phone_number__account__app"
        ).get(pk=message.pk)
        rules = explaining.explain(fresh, Board.at(database.now()))
        assert len({rule.name for rule in rules}) == len(rules)
        return {rule.name: rule for rule in rules if not rule.passed}

    def test_a_message_that_may_go_passes_all(self, message):
        assert self.failing(message) == {}

    def test_a_hold_names_its_scope_and_end(self, message):
        until = timezone.now() + timedelta(minutes=5)
        holds.place(
            [
                HoldRequest(
                    Hold.Scope.ACCOUNT,
                    message.phone_number.account.waba_id,
                    Hold.Cause.THROTTLE,
                    until,
                )
            ],
            timezone.now(),
        )
        (rule,) = self.failing(message).values()
        assert rule.name == "No hold on the WhatsApp account"
        assert rule.until == until

    def test_a_revoked_consent_ends_it(self, message):
        Consent.objects.update(status="REVOKED")
        (rule,) = self.failing(message).values()
        assert rule.is_final
        assert "REVOKED" in rule.detail

    def test_expiry_template_window_and_time(self, message, number):
        OutboundMessage.objects.update(expires_at=timezone.now() - timedelta(1))
        assert list(self.failing(message)) == ["Not expired"]
        OutboundMessage.objects.update(
            expires_at=timezone.now() + timedelta(1), due_at=timezone.now() + timedelta(hours=1)
        )
        assert list(self.failing(message)) == ["Its time has come"]
        OutboundMessage.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        template = TemplateFactory(account=number.account, status="DISABLED")
        assert list(self.failing(message)) == ["The template may be sent"]
        template.delete()
        OutboundMessage.objects.update(kind="text", template_name="", template_language="")
        assert list(self.failing(message)) == ["Customer service window"]

    def test_a_used_up_quota_says_when_it_begins_anew(self, message, org):
        until = timezone.now() + timedelta(hours=2)
        WhatsAppRateLimit.objects.create(org=org, quota_limit=5, messages_sent=5, reset_at=until)
        (rule,) = self.failing(message).values()
        assert rule.name == "Quota of the organisation"
        assert rule.until == until
        assert quota.status(org, timezone.now()).sent == 5  # looking costs nothing

    def test_those_before_it_are_counted(self, message, number):
        MessageFactory.create_batch(2, phone_number=number, priority=10)
        MessageFactory(phone_number=number, at=timezone.now() - timedelta(minutes=1))
        MessageFactory(phone_number=number, priority=30, at=timezone.now() - timedelta(hours=1))
        (rule,) = self.failing(message).values()
        assert rule.detail.startswith("3 due messages")


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
