"""One person under two names: known by phone here and by BSUID there, until Meta names both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent import checking, ledger
from consent.contacts import Recipient
from consent.models import Consent, Contact
from consent.transfer import exporting
from messaging import claims, names, opt_outs, receipts, withdrawals
from messaging.models import InboundMessage, OutboundMessage, ServiceWindow
from messaging.persons import erasing
from messaging.providers.base import Preference
from messaging.states import Status
from orgs.models import AuditEvent
from tests.factories.consent import ContactFactory
from tests.factories.messaging import AttemptFactory, MessageFactory
from tests.messaging.test_concurrency import at_once
from tests.messaging.test_opt_outs import preference
from tests.messaging.test_webhooks import payload, post, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

PHONE, BSUID = "+12025550123", "US.1349"
BOTH = {"wa_id": PHONE[1:], "user_id": BSUID}


def grant(contact: Contact, purpose: str = "transactional", days_ago: int = 2) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    ledger.grant(contact.org, [ledger.Entry(contact.pk, "WHATSAPP", purpose, "api", "key:x", at)])


@pytest.fixture
def by_phone(org) -> Contact:
    contact = ContactFactory(org=org, phone=PHONE)
    grant(contact)
    return contact


@pytest.fixture
def by_bsuid(org) -> Contact:
    contact = ContactFactory(org=org, phone=None, bsuid=BSUID)
    grant(contact)
    return contact


def write(text: str, wamid: str = "wamid.in", **names: str) -> dict[str, Any]:
    return {
        "id": wamid,
        "timestamp": str(int(timezone.now().timestamp())),
        "type": "text",
        "text": {"body": text},
        **names,
    }


def arrive(client, body: dict[str, Any]) -> None:
    post(client, body)
    receipts.apply_pending()


def stop(client, number, **names: str) -> None:
    arrive(client, payload(number, messages=[write("STOP", "wamid.stop", **names)]))


def sent_to(contact: Contact, number, wamid: str = "wamid.1") -> OutboundMessage:
    message = MessageFactory(
        phone_number=number,
        contact=contact,
        to_recipient=contact.phone or contact.bsuid,
        status=Status.SENT,
        last_attempt_number=1,
        attempt_count=1,
        provider_message_id=wamid,
    )
    AttemptFactory(message=message, outcome="ACCEPTED", charged=True, provider_message_id=wamid)
    return message


def deliver(client, number, contact: Contact, **told: Any) -> None:
    """Have a message to the contact delivered, with what Meta tells of them."""
    sent_to(contact, number)
    arrive(client, payload(number, statuses=[status("delivered", **told)]))


def by_status(client, number, contact):
    deliver(client, number, contact, recipient_id=PHONE[1:], recipient_user_id=BSUID)


def by_contacts_of_a_status(client, number, contact):
    sent_to(contact, number)
    told = [status("delivered", recipient_id=PHONE[1:])]
    arrive(client, payload(number, statuses=told, contacts=[BOTH]))


def by_inbound(client, number, contact):
    told = write("hello", **{"from": PHONE[1:], "from_user_id": BSUID})
    arrive(client, payload(number, messages=[told]))


def by_contacts_of_an_inbound(client, number, contact):
    told = write("hello", **{"from": PHONE[1:]})
    arrive(client, payload(number, messages=[told], contacts=[BOTH]))


def by_preference(client, number, contact):
    arrive(client, preference(number, "resume", user_id=BSUID))


WAYS = [by_status, by_contacts_of_a_status, by_inbound, by_contacts_of_an_inbound, by_preference]


def answer_to_sending(api, to: str) -> tuple[int, str]:
    name = "to" if to.startswith("+") else "to_bsuid"
    body = {
        name: to,
        "type": "template",
        "category": "utility",
        "template": {"name": "order_update", "language": "en_US"},
    }
    answer = api.post("/api/v1/outbound-messages", body, format="json")
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize("learn", WAYS)
def test_a_stop_by_bsuid_holds_for_the_phone_once_both_are_known_as_one(
    client, api, number, by_phone, by_bsuid, learn
):
    stop(client, number, from_user_id=BSUID)
    assert answer_to_sending(api, PHONE) == (201, "")
    learn(client, number, by_phone)
    assert answer_to_sending(api, PHONE) == (422, "consent_required")
    assert answer_to_sending(api, BSUID) == (422, "consent_required")


def test_a_stop_by_phone_holds_for_the_bsuid(client, api, number, by_phone, by_bsuid):
    stop(client, number, **{"from": PHONE[1:]})
    by_inbound(client, number, by_phone)
    assert answer_to_sending(api, BSUID) == (422, "consent_required")


@pytest.mark.parametrize("name", [{"from": PHONE[1:]}, {"from_user_id": BSUID}])
def test_what_is_queued_under_either_name_is_withdrawn(client, number, by_phone, by_bsuid, name):
    queued = [MessageFactory(phone_number=number, contact=who) for who in (by_phone, by_phone)]
    queued.append(MessageFactory(phone_number=number, contact=by_bsuid, to_recipient=BSUID))
    # The STOP is known while the queue was not looked at yet.
    stop(client, number, **name)
    by_inbound(client, number, by_phone)
    withdrawals.cancel_withdrawn()
    claims.claim_due(10)
    for message in queued:
        message.refresh_from_db()
        assert (message.status, message.error_code) == (Status.CANCELLED, "CONSENT_REVOKED")


def test_without_a_stop_both_go_on_as_one(client, api, number, org, by_phone):
    hidden = ContactFactory(org=org, phone=None, bsuid=BSUID)
    grant(hidden, "marketing")
    queued = MessageFactory(
        phone_number=number, contact=hidden, purpose="marketing", to_recipient=BSUID
    )
    by_inbound(client, number, by_phone)
    withdrawals.cancel_withdrawn()
    queued.refresh_from_db()
    assert (queued.status, queued.contact) == (Status.QUEUED, by_phone)
    assert answer_to_sending(api, BSUID) == (201, "")
    answers = Consent.objects.filter(contact=by_phone).values_list("purpose", "status")
    assert dict(answers) == {"marketing": "GRANTED", "transactional": "GRANTED"}
    assert not checking.check_all().wrong


def test_everything_of_the_person_is_found_at_one_contact(client, number, by_phone, by_bsuid):
    arrive(client, payload(number, messages=[write("hi", "wamid.a", from_user_id=BSUID)]))
    message = sent_to(by_bsuid, number, "wamid.b")
    by_inbound(client, number, by_phone)
    by_phone.refresh_from_db()
    by_bsuid.refresh_from_db()
    assert (by_phone.phone, by_phone.bsuid) == (PHONE, BSUID)
    assert (by_bsuid.phone, by_bsuid.bsuid, by_bsuid.merged_into) == (None, None, by_phone)
    message.refresh_from_db()
    assert message.contact == by_phone
    assert ServiceWindow.objects.get().contact == by_phone
    assert set(InboundMessage.objects.values_list("contact", flat=True)) == {by_phone.pk}
    row = AuditEvent.objects.get(action="contact.merged")
    assert (row.target, row.after["to"]) == (f"contact:{by_bsuid.pk}", by_phone.pk)


def test_of_two_windows_the_later_one_stays(client, number, by_phone, by_bsuid):
    now = timezone.now()
    for contact, hours in ((by_phone, 40), (by_bsuid, 2)):
        at = now - timedelta(hours=hours)
        ServiceWindow.objects.create(
            org=number.org, phone_number=number, contact=contact, last_inbound_at=at
        )
    by_status(client, number, by_phone)
    window = ServiceWindow.objects.get()
    assert (window.contact, window.last_inbound_at) == (by_phone, now - timedelta(hours=2))


def test_a_person_known_by_bsuid_learns_the_phone(client, number, by_bsuid):
    by_status(client, number, by_bsuid)
    by_bsuid.refresh_from_db()
    assert (by_bsuid.phone, by_bsuid.bsuid) == (PHONE, BSUID)


def test_meta_may_write_the_phone_of_our_contact_in_another_way(client, number, org):
    ours = ContactFactory(org=org, phone="+5511912345678")
    deliver(client, number, ours, recipient_id="551112345678", recipient_user_id="BR.1")
    ours.refresh_from_db()
    assert (ours.phone, ours.bsuid) == ("+5511912345678", "BR.1")


def test_a_group_is_nobody(client, number, by_phone):
    deliver(client, number, by_phone, recipient_type="group", recipient_user_id=BSUID)
    by_phone.refresh_from_db()
    assert by_phone.bsuid is None


def test_contradicting_names_stay_apart_and_share_their_stops(client, api, number, org, by_phone):
    other = ContactFactory(org=org, phone="+12025550199", bsuid=BSUID)
    grant(other)
    stop(client, number, from_user_id=BSUID)
    by_status(client, number, by_phone)
    assert answer_to_sending(api, PHONE) == (422, "consent_required")
    other.refresh_from_db()
    assert (other.phone, other.merged_into) == ("+12025550199", None)


def test_a_new_id_that_was_known_before_its_change_was_told(client, api, number, by_phone):
    Contact.objects.filter(pk=by_phone.pk).update(bsuid="US.0")
    stop(client, number, from_user_id=BSUID)
    system = {"type": "user_changed_user_id", "body": "changed", "user_id": BSUID}
    told = {"id": "wamid.s", "timestamp": "1794700000", "type": "system", "system": system}
    arrive(client, payload(number, messages=[{**told, "from": PHONE[1:]}]))
    by_phone.refresh_from_db()
    assert by_phone.bsuid == BSUID
    assert answer_to_sending(api, PHONE) == (422, "consent_required")


def test_told_again_it_changes_nothing(client, number, by_phone, by_bsuid):
    stop(client, number, from_user_id=BSUID)
    by_inbound(client, number, by_phone)
    before = list(Consent.objects.order_by("pk").values_list("contact", "status", "decided_at"))
    by_inbound(client, number, by_phone)
    after = Consent.objects.order_by("pk").values_list("contact", "status", "decided_at")
    assert list(after) == before
    assert AuditEvent.objects.filter(action="contact.merged").count() == 1


def test_another_organizations_people_are_not_touched(client, number, other_org, by_phone):
    theirs = ContactFactory(org=other_org, phone=None, bsuid=BSUID)
    by_inbound(client, number, by_phone)
    theirs.refresh_from_db()
    assert (theirs.bsuid, theirs.merged_into) == (BSUID, None)


def test_the_number_of_statements_does_not_grow(client, number, org):
    def statements(first: int, last: int) -> int:
        statuses = []
        for n in range(first, last):
            person = ContactFactory(org=org, phone=f"+1202555{n:04}")
            if n % 2:
                grant(ContactFactory(org=org, phone=None, bsuid=f"US.{n}"))
            sent_to(person, number, f"w{n}")
            statuses.append(status("delivered", id=f"w{n}", recipient_user_id=f"US.{n}"))
        post(client, payload(number, statuses=statuses))
        with CaptureQueriesContext(connection) as done:
            receipts.apply_pending()
        return len(done)

    assert statements(0, 4) == statements(4, 50)
    assert Contact.objects.exclude(phone=None).exclude(bsuid=None).count() == 50


def test_a_client_that_knows_the_old_consent_still_revokes(client, api, number, by_phone, by_bsuid):
    known = Consent.objects.get(contact=by_bsuid)
    by_inbound(client, number, by_phone)
    assert api.post(f"/api/v1/consents/{known.pk}/revoke").status_code == 200
    assert Consent.objects.get(contact=by_phone).status == "REVOKED"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_stop_at_the_moment_of_merging_is_not_lost(number, by_phone, by_bsuid, monkeypatch):
    """Somebody is found by their BSUID, merged by another worker, and only then held."""
    hold = ledger._hold_people
    pair = (Recipient(PHONE, BSUID), number.org)

    def merged_first(*args):
        monkeypatch.setattr(ledger, "_hold_people", hold)
        at_once(1, lambda _place: names.learn([pair], timezone.now()))
        return hold(*args)

    monkeypatch.setattr(ledger, "_hold_people", merged_first)
    told = Preference(timezone.now(), "", "", "", BSUID, "stop", is_marketing=True)
    with pytest.raises(ledger.GoneMeanwhileError):
        opt_outs.hear_preferences([(told, number.org)], timezone.now())
    opt_outs.hear_preferences([(told, number.org)], timezone.now())
    assert Consent.objects.get(contact=by_phone, purpose="marketing").status == "REVOKED"


def test_who_was_merged_is_erased_with_the_person_and_not_exported(
    client, number, by_phone, by_bsuid
):
    by_inbound(client, number, by_phone)
    lines = list(exporting.lines(Consent.objects.all()))
    assert [line.split(",")[:2] for line in lines[1:]] == [[PHONE, BSUID]]
    by_phone.refresh_from_db()
    erasing.request(by_phone, actor="user:1", reason="asked")
    assert not Consent.objects.exists()
