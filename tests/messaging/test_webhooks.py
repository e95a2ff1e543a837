"""From the door to the effect: what Meta posts, authentic or not, readable or not."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts import thresholds
from alerts.readings import webhooks as readings
from consent.models import Contact
from messaging import inbox, receipts
from messaging.models import (
    MetaApp,
    OutboundMessage,
    PhoneNumber,
    ProviderNotice,
    ServiceWindow,
    WebhookDelivery,
    WebhookEvent,
)
from messaging.providers.base import NumberError
from messaging.providers.whatsapp import callback
from messaging.states import Status
from orgs import shared_commit
from ratelimit.models import Hold
from tests.door import DoorClient
from tests.factories.messaging import (
    APP_SECRET,
    AttemptFactory,
    MessageFactory,
    MetaAppFactory,
    PhoneNumberFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/webhooks/whatsapp/inbound"
Result = WebhookEvent.Result


def payload(number: PhoneNumber, **value: Any) -> dict[str, Any]:
    metadata = {"phone_number_id": number.phone_number_id}
    change = {"field": "messages", "value": {"metadata": metadata, **value}}
    return {"entry": [{"id": number.account.waba_id, "changes": [change]}]}


def status(word: str, **fields: Any) -> dict[str, Any]:
    return {"id": "wamid.1", "status": word, "timestamp": "1794700000", **fields}


def post(client: Client, body: Any, *, secret: str = APP_SECRET, url: str = URL, **headers: str):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    headers.setdefault("X-Hub-Signature-256", signature)
    names = {name: headers.pop(name) for name in list(headers) if name.isupper()}
    return client.post(url, raw, content_type="application/json", headers=headers, **names)


def sent(number: PhoneNumber) -> OutboundMessage:
    message = MessageFactory(
        phone_number=number,
        status=Status.SENT,
        last_attempt_number=1,
        attempt_count=1,
        provider_message_id="wamid.1",
    )
    AttemptFactory(
        message=message,
        outcome="ACCEPTED",
        charged=True,
        provider_message_id="wamid.1",
        finished_at=timezone.now(),
    )
    return message


def results() -> list[str]:
    return list(WebhookEvent.objects.order_by("id").values_list("result", flat=True))


@pytest.mark.parametrize("client", [Client(), DoorClient()], ids=["django", "door"])
class TestDoor:
    def test_an_authentic_delivery_is_stored_as_received_and_answered_empty(self, client, number):
        body = json.dumps(payload(number)).replace("/", "\\/").encode()
        answer = post(client, body)
        assert (answer.status_code, answer.content) == (200, b"")
        assert bytes(WebhookDelivery.objects.get().body) == body

    @pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature-256": "sha256=00"}])
    def test_without_the_right_signature_nothing_is_stored(self, client, number, headers):
        answer = client.post(URL, b"{}", content_type="application/json", headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
        assert not WebhookDelivery.objects.exists()

    def test_an_app_without_a_secret_trusts_nobody(self, client, number):
        app = number.account.app
        app.app_secret = ""
        app.save()
        assert post(client, b"{}", secret="").status_code == 401

    def test_the_previous_secret_is_taken_during_rotation(self, client, number):
        app = number.account.app
        app.previous_app_secret, app.app_secret = app.app_secret, "new"
        app.save()
        assert post(client, payload(number)).status_code == 200
        assert post(client, payload(number), secret="new").status_code == 200

    def test_an_app_that_is_not_shared_is_reached_by_its_own_path_only(self, client, number):
        app = number.account.app
        app.shared = False
        app.save()
        assert post(client, payload(number)).status_code == 401
        assert post(client, payload(number), url=f"{URL}/{app.app_id}").status_code == 200
        assert post(client, payload(number), url=f"{URL}/999").status_code == 401

    def test_a_body_over_three_megabytes_is_refused(self, client, number):
        assert post(client, b"x" * (3 * 1024 * 1024 + 2048)).status_code == 413

    def test_an_unknown_organization_header_is_refused(self, client, number):
        answer = post(client, payload(number), **{"X-Org-Id": "nobody"})
        assert answer.status_code == 403

    def test_no_other_method_is_served(self, client):
        assert client.put(URL).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_meta_is_asked_to_repeat_what_waits_too_long_to_be_stored(client, number, monkeypatch):
    monkeypatch.setattr(shared_commit, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(inbox._shared, "_busy", True)  # others are being written
    assert post(client, payload(number)).status_code == 503
    assert not WebhookDelivery.objects.exists()


class TestApplying:
    def test_a_status_reaches_its_message(self, client, number):
        message = sent(number)
        post(client, payload(number, statuses=[status("delivered"), status("read")]))
        assert receipts.apply_pending() == 1
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        assert message.read_at
        assert results() == [Result.APPLIED, Result.APPLIED]
        delivery = WebhookDelivery.objects.get()
        assert (delivery.status, delivery.event_count) == ("DONE", 2)

    def test_a_failure_for_the_accounts_sake_stops_the_account_and_keeps_the_message(
        self, client, number
    ):
        message = sent(number)
        billing = {"code": 131042, "title": "Business eligibility payment issue"}
        post(client, payload(number, statuses=[status("failed", errors=[billing])]))
        receipts.apply_pending()
        message.refresh_from_db()
        assert (message.status, results()) == (Status.QUEUED, [Result.APPLIED])
        hold = Hold.objects.get()
        assert (hold.scope, hold.key) == ("account", number.account.waba_id)
        assert (hold.cause, hold.code, hold.until) == ("billing", "131042", None)
        assert hold.probe_at is not None

    def test_a_status_word_nobody_knows_is_kept(self, client, number):
        message = sent(number)
        post(client, payload(number, statuses=[status("teleported")]))
        receipts.apply_pending()
        event = WebhookEvent.objects.get()
        assert (event.result, event.topic) == (Result.KEPT, "teleported")
        assert event.message_id == message.pk

    def test_no_status_of_a_huge_delivery_is_lost(self, client, number):
        message = sent(number)
        others = [status("read", id=f"wamid.x{n}") for n in range(5_500)]
        post(client, payload(number, statuses=[*others, status("delivered")]))
        receipts.apply_pending()
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        assert WebhookDelivery.objects.get().event_count == 5_501

    def test_an_identical_delivery_has_one_effect(self, client, number):
        sent(number)
        for _ in range(2):
            post(client, payload(number, statuses=[status("delivered")]))
        receipts.apply_pending()
        assert results() == [Result.APPLIED, Result.UNCHANGED]

    def test_another_apps_secret_cannot_touch_the_number(self, client, number):
        MetaAppFactory(app_secret="of another app")
        message = sent(number)
        body = payload(number, statuses=[status("delivered")])
        assert post(client, body, secret="of another app").status_code == 200
        receipts.apply_pending()
        message.refresh_from_db()
        assert (message.status, results()) == (Status.SENT, [Result.FOREIGN])

    def test_the_organization_header_restricts_the_payload(self, client, number, other_org):
        message = sent(number)
        body = payload(number, statuses=[status("delivered")])
        post(client, body, **{"X-Org-Id": other_org.org_id})
        receipts.apply_pending()
        message.refresh_from_db()
        assert (message.status, results()) == (Status.SENT, [Result.FOREIGN])

    def test_our_own_id_cannot_be_used_from_another_number(self, client, number, other_org):
        message = sent(number)
        account = PhoneNumberFactory(org=other_org, account__app=number.account.app)
        ours = callback.encode("outbound", message.pk.hex, 1)
        body = payload(account, statuses=[status("delivered", biz_opaque_callback_data=ours)])
        post(client, body)
        receipts.apply_pending()
        message.refresh_from_db()
        assert (message.status, results()) == (Status.SENT, [Result.UNMATCHED])

    def test_what_is_no_webhook_is_marked_and_stops_nobody(self, client, number):
        message = sent(number)
        post(client, b"not json")
        post(client, payload(number, statuses=[7, status("delivered")]))
        receipts.apply_pending()
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        assert [d.status for d in WebhookDelivery.objects.order_by("id")] == ["ERROR", "DONE"]
        assert sorted(results()) == [Result.APPLIED, Result.POISON]

    def test_an_event_that_breaks_the_batch_is_marked_alone(self, client, number, monkeypatch):
        message = sent(number)
        post(client, payload(number, statuses=[status("delivered")]))
        post(client, payload(number, errors=[{"code": 130429}]))
        real = receipts.events.process

        def process(items, now):
            if any(isinstance(item.event, NumberError) for item in items):
                raise ValueError("poison")
            return real(items, now)

        monkeypatch.setattr(receipts.events, "process", process)
        assert receipts.apply_pending() == 2
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        assert sorted(results()) == [Result.APPLIED, Result.POISON]

    def test_the_number_of_statements_does_not_grow_with_the_batch(
        self, client, number, django_assert_max_num_queries
    ):
        statuses = []
        for n in range(50):
            message = MessageFactory(phone_number=number, status=Status.SENT, attempt_count=1)
            AttemptFactory(message=message, outcome="ACCEPTED", provider_message_id=f"w{n}")
            statuses.append(status("delivered", id=f"w{n}"))
        post(client, payload(number, statuses=statuses))
        with django_assert_max_num_queries(21):
            receipts.apply_pending()
        assert set(results()) == {Result.APPLIED}


class TestUnmatched:
    def test_a_status_that_came_too_early_finds_its_message_later(self, client, number):
        post(client, payload(number, statuses=[status("delivered")]))
        receipts.apply_pending()
        assert results() == [Result.UNMATCHED]
        message = sent(number)
        WebhookEvent.objects.update(look_again_at=timezone.now())
        assert receipts.rematch() == 1
        message.refresh_from_db()
        assert (message.status, results()) == (Status.DELIVERED, [Result.APPLIED])

    def test_it_is_looked_for_again_only_after_a_while(self, client, number):
        post(client, payload(number, statuses=[status("delivered")]))
        receipts.apply_pending()
        sent(number)
        assert receipts.rematch() == 0

    def test_after_a_day_it_is_given_up(self, client, number):
        post(client, payload(number, statuses=[status("delivered")]))
        receipts.apply_pending()
        WebhookEvent.objects.update(
            look_again_at=timezone.now(), recorded_at=timezone.now() - timedelta(days=2)
        )
        receipts.rematch()
        assert results() == [Result.GIVEN_UP]
        assert WebhookEvent.objects.get().look_again_at is None


class TestInbound:
    def inbound(self, number, **fields: Any) -> dict[str, Any]:
        message = {
            "id": "wamid.in",
            "from": "12025550123",
            "timestamp": "1794700000",
            "type": "text",
            "text": {"body": "hello"},
            **fields,
        }
        return payload(number, messages=[message])

    def test_a_person_who_writes_opens_the_window(self, client, number):
        post(client, self.inbound(number))
        receipts.apply_pending()
        window = ServiceWindow.objects.get()
        assert window.contact == Contact.objects.get(org=number.org, phone="+12025550123")
        assert int(window.last_inbound_at.timestamp()) == 1_794_700_000

    def test_an_older_message_does_not_move_the_window_back(self, client, number):
        for at in ("1794700000", "1794600000"):
            post(client, self.inbound(number, timestamp=at))
            receipts.apply_pending()
        assert int(ServiceWindow.objects.get().last_inbound_at.timestamp()) == 1_794_700_000

    def test_a_reaction_opens_nothing(self, client, number):
        post(client, self.inbound(number, type="reaction"))
        receipts.apply_pending()
        assert not ServiceWindow.objects.exists()
        assert results() == [Result.KEPT]

    def test_the_contact_learns_the_persons_other_id(self, client, number):
        post(client, self.inbound(number))
        post(client, self.inbound(number, from_user_id="US.1"))
        receipts.apply_pending()
        assert Contact.objects.get(org=number.org).bsuid == "US.1"


def test_a_new_app_secret_is_good_at_once(client, number):
    body = payload(number, statuses=[status("sent")])
    assert post(client, body).status_code == 200
    MetaApp.objects.update(app_secret="rotated")
    assert post(client, body, secret="rotated").status_code == 200


class TestTroubleOfANumber:
    def error(self, code: int) -> dict[str, Any]:
        return {"code": code, "title": "t", "message": "m", "error_data": {"details": "d"}}

    def test_too_many_messages_hold_the_number_and_lower_its_rate(self, client, number):
        post(client, payload(number, errors=[self.error(130429)]))
        receipts.apply_pending()
        assert results() == [Result.APPLIED]
        hold = Hold.objects.get()
        assert (hold.scope, hold.key, hold.cause, hold.code) == (
            "number",
            number.phone_number_id,
            "throttle",
            "130429",
        )
        number.refresh_from_db()
        assert number.rate_share == 500

    def test_what_stops_nothing_is_kept_with_its_words(self, client, number):
        post(client, payload(number, errors=[self.error(131035)]))
        receipts.apply_pending()
        event = WebhookEvent.objects.get()
        assert (event.result, event.topic, event.error) == (Result.KEPT, "error 131035", "m (d)")
        assert not Hold.objects.exists()

    def test_it_stands_in_the_timeline_of_the_account_once_an_hour_and_raises_an_alert(
        self, client, number
    ):
        for _ in range(2):
            post(client, payload(number, errors=[self.error(131035), self.error(131035)]))
            receipts.apply_pending()
        notice = ProviderNotice.objects.get()
        assert (notice.account, notice.topic, notice.event, notice.detail) == (
            number.account,
            "errors",
            "131035",
            "m (d)",
        )
        assert readings.inbox(thresholds.current(), timezone.now()).lost == 1

    @pytest.mark.parametrize(("code", "age"), [(130429, 90), (131031, 400), (131042, 400)])
    def test_an_old_one_told_again_stops_nothing(self, client, number, code, age):
        post(client, payload(number, errors=[self.error(code)]))
        earlier = timezone.now() - timedelta(seconds=age)
        WebhookDelivery.objects.update(received_at=earlier)
        receipts.apply_pending()
        assert results() == [Result.KEPT]
        assert not Hold.objects.exists()
        number.refresh_from_db()
        assert number.rate_share == 1000

    def test_a_replay_neither_lengthens_the_hold_nor_lowers_the_rate_again(self, client, number):
        post(client, payload(number, errors=[self.error(130429)]))
        for _ in range(2):
            WebhookDelivery.objects.update(status="PENDING")
            WebhookEvent.objects.all().delete()
            receipts.apply_pending()
        delivery = WebhookDelivery.objects.get()
        assert Hold.objects.get().until == delivery.received_at + timedelta(seconds=2)
        number.refresh_from_db()
        assert (number.rate_share, number.rate_lowered_at) == (500, delivery.received_at)

    @pytest.mark.parametrize("code", [131031, 131042])
    def test_a_stop_opens_the_circuit_of_the_account(self, client, number, code):
        post(client, payload(number, errors=[self.error(code)]))
        receipts.apply_pending()
        hold = Hold.objects.get()
        assert (hold.scope, hold.key, hold.until) == ("account", number.account.waba_id, None)
