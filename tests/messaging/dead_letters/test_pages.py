"""The console's pages of the dead letter queue and of operations, by Django's test client."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from messaging import stock
from messaging.admin import badges
from messaging.models import BulkOperation, Discard, OutboundMessage
from messaging.states import Status
from orgs.models import AuditEvent
from tests.factories.messaging import PhoneNumberFactory
from tests.factories.orgs import staff_user
from tests.messaging.dead_letters.cast import dead, discard_all, requeue_all, statuses, work

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LIST = reverse("admin:messaging_deadletter_changelist")
CAUSES = reverse("admin:messaging_deadletter_causes")
REQUEUE_ALL = reverse("admin:messaging_deadletter_requeue_all")
DISCARD_ALL = reverse("admin:messaging_deadletter_discard_all")
OPERATIONS = reverse("admin:messaging_bulkoperation_changelist")
DISCARDS = reverse("admin:messaging_discard_changelist")


def page_of(operation: BulkOperation, step: str = "change") -> str:
    return reverse(f"admin:messaging_bulkoperation_{step}", args=[operation.pk])


def text_of(answer) -> str:
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.fixture
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def viewer(client) -> User:
    user = staff_user("view_outboundmessage")
    client.force_login(user)
    return user


class TestCauses:
    def test_each_cause_has_meaning_advice_count_and_links(self, client, staff, number):
        dead(number, 3)
        dead(number, 1, error_code="131049")
        text = text_of(client.get(CAUSES))
        assert "131016 ·" in text
        assert "3 failed messages" in text
        assert "Everyday results of campaigns" in text
        assert f"{LIST}?error=131016&amp;campaign=no" in text
        assert f"{REQUEUE_ALL}?error=131016&amp;campaign=no" in text

    def test_a_link_leads_to_the_list_of_just_those(self, client, staff, number):
        (wanted,) = dead(number, error_code="131000")
        dead(number, 2)
        for query in (
            {"error": "131000"},
            {"error": "131000", "number": str(number.pk), "org": "acme", "campaign": "no"},
            {"failed_from": "2020-01-01", "error": "131000", "template": "order_update"},
        ):
            answer = client.get(LIST, query)
            assert [row.pk for row in answer.context["cl"].result_list] == [wanted.pk], query
        assert not client.get(LIST, {"failed_from": "soon"}).context["cl"].result_list

    @pytest.mark.parametrize(
        ("query", "offered"),
        [
            ({}, True),
            (
                {
                    "error": "131016",
                    "template": "",
                    "before": "01a2200c-f39d-7e5e-9428-02202c13b4c4",
                },
                True,
            ),
            ({"q": "+12025550123"}, False),
            ({"failed_from": "soon"}, False),
            ({"id__exact": "01a2200c-f39d-7e5e-9428-02202c13b4c4"}, False),
        ],
    )
    def test_the_list_offers_to_act_on_all_only_if_a_filter_says_all(
        self, client, staff, number, query, offered
    ):
        dead(number)
        assert ("Requeue all that match" in text_of(client.get(LIST, query))) == offered

    def test_it_costs_few_queries(self, client, staff, number, django_assert_max_num_queries):
        dead(number, 5)
        with django_assert_max_num_queries(20):
            client.get(CAUSES)


class TestRequeueAll:
    def test_the_preview_says_what_would_happen(self, client, staff, number):
        dead(number, 3)
        dead(number, 2, expires_at=timezone.now() - timedelta(hours=1))
        text = text_of(client.get(REQUEUE_ALL, {"error": "131016"}))
        assert "5 match" in text
        assert "<strong>3</strong> would send" in text
        assert "<strong>2</strong> have expired" in text
        assert not BulkOperation.objects.exists()

    def test_without_a_reason_nothing_begins(self, client, staff, number):
        dead(number)
        text = text_of(client.post(REQUEUE_ALL, {"reason": " "}))
        assert "Say why" in text
        assert not BulkOperation.objects.exists()

    def test_it_begins_and_shows_the_progress(self, client, staff, number):
        dead(number, 3)
        answer = client.post(
            f"{REQUEUE_ALL}?error=131016", {"reason": "mended", "rate": 600}, follow=True
        )
        operation = BulkOperation.objects.get()
        assert operation.filter == {"error": "131016"}
        assert (operation.actor, operation.rate_per_minute) == (f"user:{staff.pk}", 600)
        assert 'hx-trigger="every 2s"' in text_of(answer)
        operation.rate_per_minute = None
        operation.save()
        work()
        text = text_of(client.get(page_of(operation, "progress")))
        assert "hx-get" not in text
        assert "<strong>3</strong> requeued" in text
        assert "3 of 3" in text_of(client.get(OPERATIONS))

    def test_what_cannot_be_read_leads_back(self, client, staff):
        assert client.get(REQUEUE_ALL, {"number": "x"}).status_code == 302
        assert client.get(CAUSES, {"number": "x"}).status_code == 302


class TestOperation:
    def test_it_is_stopped_and_resumed_each_with_a_reason(self, client, staff, number):
        dead(number, 2)
        operation = requeue_all()
        stop, resume = page_of(operation, "stop"), page_of(operation, "resume")
        assert f'href="{stop}"' in text_of(client.get(page_of(operation)))
        for answer in (client.get(stop), client.post(stop, {"confirmed": "yes", "reason": " "})):
            assert "Reason (kept in the audit trail)" in text_of(answer)
        assert BulkOperation.objects.get().state == "RUNNING"
        given = {"confirmed": "yes", "reason": "wrong template"}
        assert "Stopped" in text_of(client.post(stop, given, follow=True))
        assert "It had moved on already." in text_of(client.post(stop, given, follow=True))
        client.post(resume, {"confirmed": "yes", "reason": "it was right"})
        work()
        assert statuses() == {"QUEUED": 2}
        steps = AuditEvent.objects.filter(action__startswith="dead_letters.requeue_").order_by("pk")
        reasons = {step.action.rpartition("_")[2]: step.reason for step in steps}
        assert (reasons["stopped"], reasons["resumed"]) == ("wrong template", "it was right")

    def test_a_discard_is_undone_with_a_reason(self, client, staff, number):
        dead(number, 2)
        client.post(DISCARD_ALL, {"reason": "old"})
        work()
        operation = BulkOperation.objects.get()
        assert "Undo the discard" in text_of(client.get(page_of(operation)))
        client.post(page_of(operation, "undo"), {"reason": ""})
        assert BulkOperation.objects.count() == 1
        client.post(page_of(operation, "undo"), {"reason": "too hasty"})
        work()
        assert statuses() == {"FAILED": 2}
        assert "Undo the discard" not in text_of(client.get(page_of(operation)))


class TestSingle:
    def test_one_is_discarded_and_restored_by_its_buttons(self, client, staff, number):
        (message,) = dead(number)
        discard = reverse("admin:messaging_deadletter_discard_one", args=[message.pk])
        assert discard in text_of(client.get(LIST))
        assert "can be undone" in text_of(client.get(discard))
        client.post(discard, {"confirmed": "yes", "reason": "old"})
        assert statuses() == {"CANCELLED": 1}
        page = reverse("admin:messaging_outboundmessage_change", args=[message.pk])
        restore = reverse("admin:messaging_outboundmessage_restore_one", args=[message.pk])
        assert restore in text_of(client.get(page))
        client.post(restore, {"confirmed": "yes", "reason": "sorry"})
        assert statuses() == {"FAILED": 1}
        assert restore not in text_of(client.get(page))

    def test_those_discarded_lately_are_listed_and_restored(self, client, staff, number):
        dead(number, 2)
        discard_all()
        work()
        Discard.objects.filter(pk=Discard.objects.first().pk).update(
            discarded_at=timezone.now() - timedelta(days=2)
        )
        (row,) = client.get(DISCARDS).context["cl"].result_list
        chosen = {"action": "restore_selected", ACTION_CHECKBOX_NAME: [str(row.pk)]}
        assert "Undo the discard of 1" in text_of(client.post(DISCARDS, chosen))
        client.post(DISCARDS, {**chosen, "confirmed": "yes", "reason": "sorry"})
        assert OutboundMessage.objects.get(status=Status.FAILED).pk == row.pk


def test_who_may_only_look_sees_all_and_changes_nothing(client, viewer, number):
    dead(number, 2)
    operation = requeue_all()
    for url in (
        CAUSES,
        LIST,
        OPERATIONS,
        DISCARDS,
        page_of(operation),
        page_of(operation, "progress"),
    ):
        text = text_of(client.get(url))
        assert "Requeue all" not in text
        assert ">Stop<" not in text
    for url in (REQUEUE_ALL, DISCARD_ALL):
        assert client.get(url).status_code == 403
        assert client.post(url, {"reason": "x"}).status_code == 403
    for step in ("stop", "resume", "undo"):
        assert client.post(page_of(operation, step), {"reason": "x"}).status_code == 403
    assert BulkOperation.objects.get().state == "RUNNING"


def test_who_may_not_even_look_sees_nothing(client, number):
    operation = requeue_all()
    client.force_login(User.objects.create_user("eve", password="x", is_staff=True))
    for url in (CAUSES, OPERATIONS, DISCARDS, page_of(operation), page_of(operation, "progress")):
        assert client.get(url).status_code == 403


class TestLimitedStaff:
    """Somebody who may act, but for some organisations only."""

    @pytest.fixture
    def rows(self, number, other_org):
        theirs = PhoneNumberFactory(org=other_org, display_phone_number="Globex 1")
        dead(number, 2)
        dead(theirs, 3, error_code="131000")
        return theirs

    def limited(self, client, *orgs) -> None:
        rights = ("view_outboundmessage", "change_outboundmessage")
        client.force_login(staff_user(*rights, orgs=orgs))

    def test_groups_and_previews_are_of_their_organisation(self, client, org, rows):
        self.limited(client, org)
        text = text_of(client.get(CAUSES))
        assert "2 failed messages" in text
        assert "131000" not in text
        assert "globex" not in text.lower()
        assert "2 match" in text_of(client.get(REQUEUE_ALL))
        text = text_of(client.get(REQUEUE_ALL, {"number": rows.pk}))
        assert "Nothing matches" in text
        assert "Globex" not in text

    def test_an_operation_stays_within_it(self, client, org, other_org, rows):
        self.limited(client, org)
        client.post(REQUEUE_ALL, {"reason": "mended"})
        assert BulkOperation.objects.get().org == org
        work()
        assert OutboundMessage.objects.filter(org=other_org, status=Status.FAILED).count() == 3
        for url in (REQUEUE_ALL, DISCARD_ALL):
            address = f"{url}?org={other_org.org_id}"
            assert client.get(address).status_code == 403
            assert client.post(address, {"reason": "x"}).status_code == 403

    def test_of_several_one_is_chosen(self, client, org, other_org, rows):
        self.limited(client, org, other_org)
        text = text_of(client.get(REQUEUE_ALL, follow=True))
        assert "Choose an organisation first." in text
        assert "3 match" in text_of(client.get(REQUEUE_ALL, {"org": "globex"}))

    def test_operations_of_others_are_out_of_reach(self, client, org, other_org, rows):
        theirs = discard_all(org=other_org.org_id)
        everybodys = discard_all()
        work()
        self.limited(client, org)
        assert not client.get(OPERATIONS).context["cl"].result_list
        assert {row.org_id for row in client.get(DISCARDS).context["cl"].result_list} == {org.pk}
        for operation in (theirs, everybodys):
            assert client.get(page_of(operation)).status_code == 404
            assert client.get(page_of(operation, "progress")).status_code == 404
            for step in ("stop", "resume", "undo"):
                assert client.post(page_of(operation, step), {"reason": "x"}).status_code == 404


class TestBadge:
    """The count in the sidebar, which every page of the console asks for."""

    @pytest.fixture(autouse=True)
    def _queue(self, number) -> None:
        dead(number, 2)
        dead(number, error_code="131049")  # an everyday result of campaigns
        dead(PhoneNumberFactory(), 3)
        stock.recount()

    def badge(self, user: User) -> tuple[str, str]:
        """Return the badge, and the statements it took."""
        request = RequestFactory().get("/")
        request.user = User.objects.get(pk=user.pk)
        with CaptureQueriesContext(connection) as asked:
            shown = badges.dead_letters(request)
        return shown, " ".join(query["sql"] for query in asked)

    def test_of_all_the_messages_are_not_counted_again(self, staff):
        shown, asked = self.badge(staff)
        assert shown == "5"
        assert "outbound_message " not in asked.replace('"', " ")

    def test_who_is_limited_sees_the_count_of_theirs(self, number):
        limited = staff_user("view_outboundmessage", orgs=(number.org,))
        assert self.badge(limited)[0] == "2"
