"""Who seems to be out of reach: three messages in a row that came back undeliverable."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from consent.models import Contact
from messaging import receipts
from messaging.models import OutboundMessage
from messaging.persons import erasing
from messaging.providers.base import Outcome
from messaging.providers.whatsapp.errors import DEFAULT_TABLE
from messaging.states import Status
from tests.drive import send_due
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import AttemptFactory, MessageFactory
from tests.messaging.test_webhooks import payload, post, status

pytestmark = [pytest.mark.django_db, pytest.mark.core]

UNDELIVERABLE = [{"code": 131026, "title": "Message undeliverable"}]


@pytest.fixture
def person(org) -> Contact:
    contact = ContactFactory(org=org, phone="+12025550123")
    ConsentFactory(contact=contact)
    return contact


def sent_to(person: Contact, number, wamid: str) -> OutboundMessage:
    message = MessageFactory(
        phone_number=number,
        contact=person,
        status=Status.SENT,
        last_attempt_number=1,
        attempt_count=1,
        provider_message_id=wamid,
    )
    AttemptFactory(message=message, outcome="ACCEPTED", charged=True, provider_message_id=wamid)
    return message


def come_back(client, number, *wamids: str) -> None:
    failed = [status("failed", id=wamid, errors=UNDELIVERABLE) for wamid in wamids]
    post(client, payload(number, statuses=failed))
    receipts.apply_pending()


def suspected(person: Contact) -> tuple[int, bool]:
    person.refresh_from_db()
    return person.undeliverable_count, person.suspect_at is not None


def suspect(person: Contact) -> Contact:
    Contact.objects.filter(pk=person.pk).update(undeliverable_count=3, suspect_at=timezone.now())
    return person


def test_the_third_message_in_a_row_that_comes_back_makes_a_suspect(client, number, person):
    for wamid in "abc":
        sent_to(person, number, wamid)
    come_back(client, number, "a")
    come_back(client, number, "b")
    assert suspected(person) == (2, False)
    come_back(client, number, "c")
    assert suspected(person) == (3, True)


def test_a_failure_told_twice_counts_once(client, number, person):
    sent_to(person, number, "a")
    for _ in range(3):
        come_back(client, number, "a", "a")
    assert suspected(person) == (1, False)


def test_another_failure_says_nothing_about_the_person(client, number, person):
    sent_to(person, number, "a")
    failed = status("failed", id="a", errors=[{"code": 131049, "title": "t"}])
    post(client, payload(number, statuses=[failed]))
    receipts.apply_pending()
    assert suspected(person) == (0, False)


@pytest.mark.parametrize("word", ["delivered", "read"])
def test_whoever_gets_a_message_is_no_suspect_any_more(client, number, person, word):
    sent_to(suspect(person), number, "a")
    post(client, payload(number, statuses=[status(word, id="a")]))
    receipts.apply_pending()
    assert suspected(person) == (0, False)


def test_within_one_batch_the_order_of_events_counts(client, number, person):
    for wamid in "abc":
        sent_to(person, number, wamid)
    told = [
        status("failed", id="c", timestamp="1794700003", errors=UNDELIVERABLE),
        status("delivered", id="b", timestamp="1794700002"),
        status("failed", id="a", timestamp="1794700001", errors=UNDELIVERABLE),
    ]
    post(client, payload(number, statuses=told))
    receipts.apply_pending()
    assert suspected(person) == (1, False)


def test_calls_refused_with_131026_count_too(number, person, provider):
    rule = DEFAULT_TABLE.lookup("131026")
    provider.answer(Outcome.REJECTED, error_code="131026", rule=rule, http_status=400)
    for _ in range(3):
        MessageFactory(phone_number=number, contact=person)
    send_due()
    assert suspected(person) == (3, True)


def test_the_number_of_statements_does_not_grow_with_the_batch(
    client, number, django_assert_max_num_queries
):
    wamids = [f"w{n}" for n in range(50)]
    for wamid in wamids:
        sent_to(ContactFactory(org=number.org), number, wamid)
    failed = [status("failed", id=wamid, errors=UNDELIVERABLE) for wamid in wamids]
    post(client, payload(number, statuses=failed))
    with django_assert_max_num_queries(22):
        receipts.apply_pending()
    assert Contact.objects.filter(undeliverable_count=1).count() == 50


def test_a_new_message_to_a_suspect_is_taken_with_a_warning(api, number, person):
    def warned() -> list[str]:
        body = {
            "to": person.phone,
            "type": "template",
            "category": "utility",
            "template": {"name": "order_update", "language": "en_US"},
        }
        answer = api.post("/api/v1/outbound-messages", body, format="json")
        assert answer.status_code == 201
        return [item["code"] for item in answer.json()["warnings"]]

    assert warned() == ["templates_not_synced"]
    suspect(person)
    assert warned() == ["templates_not_synced", "recipient_suspect"]


def test_the_console_shows_and_finds_suspects(admin_client, number, person):
    other = ContactFactory(org=number.org)
    suspect(person)
    changelist = reverse("admin:consent_contact_changelist")
    pages = [reverse("admin:consent_contact_change", args=[who.pk]) for who in (person, other)]
    found = admin_client.get(changelist, {"suspect": "yes"}).content.decode()
    assert [page in found for page in pages] == [True, False]
    shown = [admin_client.get(page).content.decode() for page in pages]
    assert ["suspect since" in text for text in shown] == [True, False]


def test_of_an_erased_person_nothing_is_kept(client, number, person):
    sent_to(suspect(person), number, "a")
    erasing.request(person, actor="user:1", reason="asked")
    come_back(client, number, "a")
    assert suspected(person) == (0, False)
