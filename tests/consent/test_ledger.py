from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.ledger import Answer, Ask, Entry
from consent.models import Consent, ConsentEvent, Contact
from orgs.append_only import deletion_allowed
from orgs.problems import Problem
from tests.factories.consent import ConsentFactory, ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def entry(contact: Contact, hour: int = 0, *, source: str = "api", **fields: object) -> Entry:
    return Entry(
        contact.pk,
        "WHATSAPP",
        "transactional",
        source,
        "key:test",
        AT + timedelta(hours=hour),
        **fields,
    )


def answer(contact: Contact, at: datetime | None = None) -> Answer:
    ask = Ask(contact.pk, "WHATSAPP", "transactional")
    return ledger.check([ask], at or timezone.now())[ask]


@pytest.fixture
def person(org) -> Contact:
    return ContactFactory(org=org)


def test_a_grant_allows_and_a_revocation_ends_it(org, person):
    assert answer(person) == Answer(allowed=False, status="MISSING")
    ledger.grant(org, [entry(person)])
    assert answer(person) == Answer(allowed=True, status="GRANTED")
    ledger.revoke(org, [entry(person, 1)])
    assert answer(person) == Answer(allowed=False, status="REVOKED")
    history = ConsentEvent.objects.order_by("id").values_list("status", flat=True)
    assert list(history) == ["GRANTED", "REVOKED"]


def test_a_denial_is_an_answer_too(org, person):
    ledger.deny(org, [entry(person)])
    assert answer(person).status == "DENIED"


def test_a_grant_ends_at_its_expiry(org, person):
    ledger.grant(org, [entry(person, expires_at=AT + timedelta(days=1))])
    assert answer(person, AT + timedelta(hours=23)).allowed
    assert answer(person, AT + timedelta(days=1)).status == "EXPIRED"


def test_purposes_and_channels_stand_apart(org, person):
    ledger.grant(org, [entry(person)])
    asks = [Ask(person.pk, "WHATSAPP", "marketing"), Ask(person.pk, "SMS", "transactional")]
    assert not any(found.allowed for found in ledger.check(asks, timezone.now()).values())


def test_an_older_decision_goes_into_the_history_only(org, person):
    ledger.revoke(org, [entry(person, 5)])
    ledger.grant(org, [entry(person, 1)])
    assert answer(person).status == "REVOKED"
    assert ConsentEvent.objects.count() == 2


def test_repeating_a_decision_records_nothing(org, person):
    for _ in range(3):
        ledger.grant(org, [entry(person, proof={"text": "yes"})])
    assert ConsentEvent.objects.count() == 1


def test_a_new_proof_is_recorded(org, person):
    ledger.grant(org, [entry(person, proof={"text": "a"})])
    ledger.grant(org, [entry(person, 1, proof={"text": "b"})])
    assert ConsentEvent.objects.count() == 2
    assert Consent.objects.get().proof == {"text": "b"}


class TestStop:
    @pytest.fixture(autouse=True)
    def stopped(self, org, person):
        ledger.revoke(org, [entry(person, 10, source="person")])

    @pytest.mark.parametrize(
        "fields", [{"hour": 11}, {"hour": 9, "proof": {"text": "older"}}, {"hour": 9}]
    )
    def test_it_is_not_undone_by_others(self, org, person, fields):
        with pytest.raises(Problem) as caught:
            ledger.grant(org, [entry(person, **fields)])
        assert (caught.value.status, caught.value.code) == (409, "person_opted_out")
        assert answer(person).status == "REVOKED"

    def test_it_is_undone_by_the_persons_start(self, org, person):
        ledger.grant(org, [entry(person, 11, source="person")])
        assert answer(person).allowed

    def test_it_is_undone_by_a_proof_dated_later(self, org, person):
        ledger.grant(org, [entry(person, 11, proof={"form": "signed again"})])
        assert answer(person).allowed


def test_any_order_of_dated_decisions_ends_the_same(org):
    deeds = [(ledger.grant, 1), (ledger.deny, 2), (ledger.grant, 3), (ledger.revoke, 4)]
    ends = set()
    for order in itertools.permutations(deeds):
        person = ContactFactory(org=org)
        for record, hour in order:
            record(org, [entry(person, hour)])
        ends.add((answer(person).status, Consent.objects.get(contact=person).decided_at))
    assert len(ends) == 1


def test_the_number_of_statements_does_not_grow(org, django_assert_num_queries):
    for count in (1, 50):
        people = [ContactFactory(org=org) for _ in range(count)]
        with django_assert_num_queries(1):
            ledger.check([Ask(p.pk, "WHATSAPP", "transactional") for p in people], timezone.now())
        with django_assert_num_queries(9 if connection.vendor == "postgresql" else 8):
            ledger.grant(org, [entry(person) for person in people])


def test_the_contact_of_another_organization_is_refused(other_org, person):
    with pytest.raises(ValueError, match="another organisation"):
        ledger.grant(other_org, [entry(person)])


@pytest.mark.parametrize("statement", ["UPDATE {0} SET actor = 'x'", "DELETE FROM {0}"])
def test_the_database_refuses_to_change_the_history(org, person, statement):
    ledger.grant(org, [entry(person)])
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format("consent_consentevent"))


def test_retention_may_delete_history(org, person):
    ledger.grant(org, [entry(person)])
    with deletion_allowed():
        ConsentEvent.objects.all().delete()
    assert not ConsentEvent.objects.exists()


class TestContacts:
    def test_people_are_found_by_either_name_and_created_once(self, org):
        by_phone = Recipient("+12025550123", None)
        by_both = Recipient("+12025550123", "US.1")
        first = contacts.find_or_create(org, [by_phone])[by_phone]
        again = contacts.find_or_create(org, [by_both])[by_both]
        assert first.pk == again.pk
        assert contacts.find(org, [Recipient(None, "US.1")])[Recipient(None, "US.1")] == first

    def test_organizations_do_not_share_people(self, org, other_org):
        somebody = Recipient("+12025550123", None)
        contacts.find_or_create(org, [somebody])
        assert contacts.find(other_org, [somebody]) == {}

    def test_a_bsuid_of_another_contact_is_not_taken_away(self, org):
        contacts.find_or_create(org, [Recipient(None, "US.1")])
        both = Recipient("+12025550123", "US.1")
        contacts.find_or_create(org, [Recipient("+12025550123", None)])
        assert contacts.find_or_create(org, [both])[both].bsuid is None

    def test_nobody_is_nobody(self, org):
        with pytest.raises(ValueError, match="phone number or a BSUID"):
            contacts.find_or_create(org, [Recipient(None, None)])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_at_once_leave_one_answer_and_a_whole_history():
    person = ContactFactory()
    start = threading.Barrier(4, timeout=10)
    errors: list[BaseException] = []

    def record(hour: int) -> None:
        try:
            start.wait()
            deed = ledger.grant if hour % 2 else ledger.revoke
            deed(person.org, [entry(person, hour)])
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=record, args=(hour,)) for hour in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert Consent.objects.get().status == "GRANTED"
    assert ConsentEvent.objects.count() == 4


def test_a_consent_row_is_what_the_check_reads():
    consent = ConsentFactory(status="GRANTED")
    assert answer(consent.contact).allowed
