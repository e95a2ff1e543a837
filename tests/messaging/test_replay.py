"""Stored webhooks can be processed again, and that does no harm."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from messaging import receipts, replay
from messaging.models import WebhookDelivery, WebhookEvent
from messaging.states import Status
from orgs.models import AuditEvent
from tests.factories.orgs import staff_user
from tests.messaging.test_webhooks import payload, post, sent, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LIST = reverse("admin:messaging_webhookdelivery_changelist")


@pytest.fixture
def delivered(client, number):
    message = sent(number)
    post(client, payload(number, statuses=[status("delivered")]))
    receipts.apply_pending()
    return message


def staff(client, *rights: str):
    client.force_login(staff_user("view_webhookdelivery", *rights))
    return client


def test_a_replay_changes_nothing_that_was_right(delivered):
    delivered.refresh_from_db()
    before = (delivered.status, delivered.delivered_at, delivered.events.count())
    assert replay.process_again(WebhookDelivery.objects.all(), actor="user:1", reason="mended") == 1
    assert receipts.apply_pending() == 1
    delivered.refresh_from_db()
    assert (delivered.status, delivered.delivered_at, delivered.events.count()) == before
    event = WebhookEvent.objects.get()
    assert (event.result, event.message_id) == (WebhookEvent.Result.UNCHANGED, delivered.pk)


def test_a_replay_mends_what_a_fault_had_lost(delivered):
    type(delivered).objects.update(status=Status.SENT, delivered_at=None)
    delivered.attempts.update(receipts="")
    replay.process_again(WebhookDelivery.objects.all(), actor="user:1", reason="mended")
    receipts.apply_pending()
    delivered.refresh_from_db()
    assert delivered.status == Status.DELIVERED


def test_what_still_waits_is_left_alone(client, number):
    post(client, payload(number, statuses=[status("sent")]))
    assert replay.process_again(WebhookDelivery.objects.all(), actor="user:1", reason="mended") == 0


def test_the_command_takes_those_of_a_period_and_a_result(delivered, capsys):
    call_command("replay_webhooks", "--since", "1:00:00", "--result", "UNMATCHED")
    call_command("replay_webhooks", "--since", "1:00:00", "--result", "APPLIED")
    call_command("replay_webhooks", "--since", "2100-01-01T00:00:00Z")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["0", "1", "0"]


@pytest.mark.parametrize("since", ["yesterday", "2026-11-25", "2026-13-01T00:00:00Z", "-1:00:00"])
def test_the_command_says_how_a_time_is_given(since):
    with pytest.raises(CommandError, match="give a time with its zone"):
        call_command("replay_webhooks", f"--since={since}")


def test_staff_with_the_right_process_all_that_match_again_and_it_is_audited(client, delivered):
    post(client, payload(delivered.phone_number, statuses=[status("read")]))
    receipts.apply_pending()
    staff(client, "replay_webhook")
    first = WebhookDelivery.objects.earliest("pk")
    chosen = {"action": "process_again", "_selected_action": [first.pk], "select_across": 1}
    page = client.post(LIST, chosen)
    assert "Process 2 webhooks again" in page.content.decode()
    client.post(LIST, {**chosen, "confirmed": "yes", "reason": "reader mended"})
    assert WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING).count() == 2
    entry = AuditEvent.objects.get(action="webhooks.replayed")
    assert (entry.reason, entry.after["count"]) == ("reader mended", 2)


def test_the_console_takes_no_more_at_once_than_a_request_can(client, delivered, monkeypatch):
    monkeypatch.setattr("messaging.admin.webhooks.MOST_AT_ONCE", 1)
    post(client, payload(delivered.phone_number, statuses=[status("read")]))
    receipts.apply_pending()
    staff(client, "replay_webhook")
    first, second = WebhookDelivery.objects.order_by("pk")
    chosen = {"action": "process_again", "_selected_action": [first.pk, second.pk]}
    page = client.post(LIST, chosen).content.decode()
    assert "Process 1 webhooks again" in page
    assert "2 match: the oldest 1 are taken now" in page
    client.post(LIST, {**chosen, "confirmed": "yes", "reason": "reader mended"})
    waiting = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)
    assert [row.pk for row in waiting] == [first.pk]


def test_without_the_right_nothing_is_processed_again(client, delivered):
    staff(client)
    client.post(
        LIST,
        {
            "action": "process_again",
            "_selected_action": [WebhookDelivery.objects.get().pk],
            "confirmed": "yes",
            "reason": "x",
        },
    )
    assert WebhookDelivery.objects.get().status == WebhookDelivery.Status.DONE


class TestBody:
    def urls(self) -> tuple[str, str]:
        pk = WebhookDelivery.objects.get().pk
        stem = "admin:messaging_webhookdelivery"
        return reverse(f"{stem}_change", args=[pk]), reverse(f"{stem}_show_body", args=[pk])

    def test_who_may_not_read_it_is_not_offered_it_and_refused(self, client, delivered):
        page, body = self.urls()
        staff(client)
        shown = client.get(page)
        assert shown.status_code == 200
        assert body not in shown.content.decode()
        assert client.get(body).status_code == client.post(body).status_code == 403

    def test_a_click_more_shows_it_and_is_audited(self, client, delivered):
        page, body = self.urls()
        staff(client, "view_webhook_body")
        shown = client.get(page).content.decode()
        assert body in shown
        assert "wamid.1" not in shown + client.get(body).content.decode()
        assert not AuditEvent.objects.filter(action="webhook.body_shown").exists()
        answer = client.post(body, {"reason": "a complaint"})
        assert "wamid.1&quot;" in answer.content.decode()
        assert "no-store" in answer.headers["Cache-Control"]
        row = AuditEvent.objects.get(action="webhook.body_shown")
        assert (row.org, row.reason) == (None, "a complaint")
