"""Reading templates from Meta: pages, failures, and what follows for queued messages."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from messaging import claims, template_sync, templates
from messaging.models import BusinessAccount, MessageTemplate, OutboundMessage
from messaging.providers.base import TemplateNews
from orgs.models import AuditEvent
from ratelimit.models import Hold
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory, PhoneNumberFactory, TemplateFactory
from tests.messaging.providers.servers import read_request, serving

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def row(name="order_update", **changes):
    return {
        "id": "594425479261596",
        "name": name,
        "language": "en_US",
        "status": "APPROVED",
        "category": "UTILITY",
        "parameter_format": "POSITIONAL",
        "components": [{"type": "BODY", "text": "Hi {{1}}"}],
        "quality_score": {"score": "GREEN"},
        **changes,
    }


@pytest.fixture
def meta(settings):
    """Meta's list, a page for each item; a number is an answer with that status."""
    pages: list[object] = []
    asked: list[str] = []

    def answer(client):
        line = read_request(client).split(b"\r\n", 1)[0].decode()
        asked.append(line)
        after = parse_qs(urlsplit(line.split()[1]).query).get("after", ["0"])[0]
        page = pages[int(after)]
        if page == "forgotten":
            pages[int(after)] = []
            page = 131059
        status, body = (page, {}) if isinstance(page, int) else (200, {"data": page})
        if status > 599:
            status, body = 400, {"error": {"code": status, "message": "no"}}
        if int(after) + 1 < len(pages) and status == 200:
            body["paging"] = {"cursors": {"after": str(int(after) + 1)}, "next": "https://x"}
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + content)

    with serving(answer) as url:
        settings.WHATSAPP_CLOUD_API_BASE_URL = url
        pages_and_calls = type("Meta", (), {"pages": pages, "asked": asked})
        yield pages_and_calls


@pytest.fixture
def account(number):
    return number.account


def names(status="APPROVED"):
    return sorted(MessageTemplate.objects.filter(status=status).values_list("name", flat=True))


class TestReading:
    def test_every_page_is_followed(self, meta, account):
        meta.pages += [[row("a"), row("b")], [row("c")]]
        assert template_sync.sync_due() == 1
        assert names() == ["a", "b", "c"]
        account.refresh_from_db()
        assert account.templates_synced_at
        assert not account.templates_error

    def test_it_comes_again_after_its_time_and_not_before(self, meta, account):
        meta.pages += [[row()]]
        template_sync.sync_due()
        assert template_sync.sync_due() == 0
        account.refresh_from_db()
        wait = account.templates_due_at - timezone.now()
        assert timedelta(minutes=14) < wait <= timedelta(minutes=15)

    def test_a_template_no_longer_listed_was_deleted(self, meta, account):
        TemplateFactory(account=account, name="old")
        meta.pages += [[row("new")]]
        template_sync.sync_due()
        assert (names(), names("DELETED")) == (["new"], ["old"])

    def test_a_broken_list_changes_nothing_and_tells_why(self, meta, account):
        TemplateFactory(account=account, name="old")
        meta.pages += [[row("new")], 500]
        template_sync.sync_due()
        assert names() == ["old"]
        account.refresh_from_db()
        assert "HTTP status 500" in account.templates_error
        assert account.templates_synced_at is None

    def test_a_failed_reading_is_tried_again_soon_and_then_less_often(self, meta, account):
        meta.pages += [500]
        waits = []
        for _ in range(7):
            BusinessAccount.objects.update(templates_due_at=timezone.now())
            assert template_sync.sync_due() == 1
            account.refresh_from_db()
            waits.append((account.templates_due_at - timezone.now()).total_seconds())
        assert waits == pytest.approx([30, 60, 120, 240, 480, 900, 900], abs=5)
        meta.pages[:] = [[row()]]
        BusinessAccount.objects.update(templates_due_at=timezone.now())
        template_sync.sync_due()
        meta.pages[:] = [500]
        BusinessAccount.objects.update(templates_due_at=timezone.now())
        template_sync.sync_due()
        account.refresh_from_db()
        assert account.templates_due_at < timezone.now() + timedelta(seconds=35)

    def test_a_place_that_meta_has_forgotten_begins_the_list_anew_once(self, meta, account):
        meta.pages += [[row("a")], "forgotten"]
        template_sync.sync_due()
        assert names() == ["a"]
        meta.pages[:] = [[row("b")], 131059]
        template_sync.ask_for(BusinessAccount.objects.all(), gap=timedelta(0))
        template_sync.sync_due()
        account.refresh_from_db()
        assert "131059" in account.templates_error
        assert len(meta.asked) == 4 + 4

    def test_the_same_list_again_changes_nothing(self, meta, account):
        meta.pages += [[row()]]
        template_sync.sync_due()
        before = MessageTemplate.objects.get().updated_at
        template_sync.ask_for(type(account).objects.all(), gap=timedelta(0))
        assert template_sync.sync_due() == 1
        assert MessageTemplate.objects.get().updated_at == before
        assert not AuditEvent.objects.filter(action__startswith="template.").exists()

    def test_rubbish_among_the_rows_disturbs_no_other(self, meta, account):
        meta.pages += [["x", {}, {"name": 1}, row(components="none", quality_score=3)]]
        template_sync.sync_due()
        assert names() == ["order_update"]

    def test_asking_again_and_again_does_not_ask_meta_without_end(self, meta, account):
        meta.pages += [[row()]]
        template_sync.sync_due()
        for _ in range(3):
            template_sync.ask_for(type(account).objects.all())
            assert template_sync.sync_due() == 0
        assert len(meta.asked) == 1


class TestRefusals:
    """Meta knows a template otherwise than we do: what it says of a message tells."""

    @pytest.fixture
    def read(self, account):
        now = timezone.now()
        later = now + timedelta(minutes=10)
        BusinessAccount.objects.update(templates_asked_at=now, templates_due_at=later)
        return account

    def refuse(self, number, code: str, **ago: int) -> None:
        at = timezone.now() - timedelta(**ago)
        MessageFactory(phone_number=number, status="FAILED", error_code=code, at=at, failed_at=at)

    @pytest.mark.parametrize("code", ["132001", "132007", "132016"])
    def test_the_account_is_read_again_soon(self, number, read, code):
        other = PhoneNumberFactory().account
        BusinessAccount.objects.update(templates_due_at=timezone.now() + timedelta(minutes=10))
        self.refuse(number, code)
        assert template_sync.ask_after_refusals() == 1
        read.refresh_from_db()
        other.refresh_from_db()
        assert read.templates_due_at < timezone.now() + timedelta(seconds=15)
        assert other.templates_due_at > timezone.now() + timedelta(minutes=5)

    @pytest.mark.parametrize(("code", "minutes"), [("132001", 5), ("131026", 0)])
    def test_what_was_refused_before_or_for_another_reason_asks_for_nothing(
        self, number, read, code, minutes
    ):
        self.refuse(number, code, minutes=minutes)
        assert template_sync.ask_after_refusals() == 0

    def test_many_refusals_cost_what_one_costs(self, number, read, django_assert_max_num_queries):
        for _ in range(20):
            self.refuse(number, "132001")
        with django_assert_max_num_queries(5):
            template_sync.ask_after_refusals()


class TestWhatFollows:
    @pytest.fixture
    def template(self, account):
        return TemplateFactory(account=account)

    def tell(self, account, **said):
        said = {"name": "order_update", "language": "en_US", **said}
        templates.apply(account, [TemplateNews(**said)], timezone.now())

    def test_a_pause_is_a_hold_with_its_cause_until_it_is_approved_again(self, account, template):
        self.tell(account, status="PAUSED", reason="Low quality")
        (hold,) = Hold.objects.all()
        assert (hold.scope, hold.cause, hold.until) == ("template", "template", None)
        assert hold.key == f"{account.waba_id}/order_update/en_US"
        assert "Low quality" in hold.detail
        self.tell(account, status="APPROVED")
        assert not Hold.objects.exists()

    def test_each_change_leaves_a_line_in_the_audit_trail(self, account, template):
        self.tell(account, status="PAUSED", quality="RED")
        lines = AuditEvent.objects.filter(actor="provider:meta").order_by("action")
        assert [(line.action, line.after) for line in lines] == [
            ("template.quality", {"quality": "RED"}),
            ("template.status", {"status": "PAUSED"}),
        ]

    def test_a_template_that_became_marketing_asks_queued_messages_for_that_consent(
        self, account, number, template
    ):
        mine = MessageFactory(phone_number=number)
        other = MessageFactory(phone_number=number, template_name="another")
        self.tell(account, category="MARKETING")
        mine.refresh_from_db()
        other.refresh_from_db()
        assert (mine.category, mine.purpose) == ("marketing", "marketing")
        assert other.purpose == "transactional"

    @pytest.mark.parametrize("status", ["DISABLED", "DELETED", "REJECTED"])
    def test_what_is_queued_for_one_that_has_ended_fails_by_its_rule(
        self, account, number, template, status
    ):
        ConsentFactory(contact=(mine := MessageFactory(phone_number=number)).contact)
        ConsentFactory(contact=(other := MessageFactory(phone_number=number)).contact)
        OutboundMessage.objects.filter(pk=other.pk).update(template_name="another")
        self.tell(account, status=status)
        claim = claims.claim_due(10)
        assert claim is not None
        assert [message.pk for message in claim.messages] == [other.pk]
        mine.refresh_from_db()
        assert (mine.status, mine.error_code) == ("FAILED", "TEMPLATE_NOT_SENDABLE")
        assert status in mine.error_message

    def test_what_is_queued_for_a_paused_one_waits_and_then_goes(self, account, number, template):
        ConsentFactory(contact=(message := MessageFactory(phone_number=number)).contact)
        self.tell(account, status="PAUSED")
        claim = claims.claim_due(10)
        assert claim is None or not claim.messages
        message.refresh_from_db()
        assert message.status == "QUEUED"
        self.tell(account, status="APPROVED")
        OutboundMessage.objects.update(due_at=timezone.now())
        claim = claims.claim_due(10)
        assert claim is not None
        assert len(claim.messages) == 1

    def test_one_never_seen_is_left_to_the_next_reading(self, account):
        self.tell(account, status="PAUSED")
        assert not MessageTemplate.objects.exists()
        assert not Hold.objects.exists()

    def test_drafts_of_a_first_reading_make_no_holds(self, meta, account):
        meta.pages += [[row("a", status="PENDING"), row("b", status="PAUSED")]]
        template_sync.sync_due()
        assert [hold.key.split("/")[1] for hold in Hold.objects.all()] == ["b"]
