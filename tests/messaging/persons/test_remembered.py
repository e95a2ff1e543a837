"""A STOP outlives the erasure of its person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from consent import contacts, ledger
from consent.contacts import Recipient
from consent.models import Consent, Contact, RememberedStop
from messaging.persons import erasing
from orgs.problems import Problem
from tests.messaging.persons.cast import (
    BSUID,
    DIGITS,
    PHONE,
    arrive,
    erase,
    everything_stored,
    inbound,
)
from tests.messaging.test_webhooks import payload

pytestmark = [pytest.mark.django_db, pytest.mark.core]


class TestStopAfterErasure:
    def stop(self, client, number) -> None:
        arrive(client, payload(number, messages=[inbound(PHONE, "stop", "wamid.stop")]))

    @pytest.mark.parametrize("known_by", [Recipient(PHONE, None), Recipient(None, BSUID)])
    def test_it_stays_effective(self, client, number, person, known_by):
        self.stop(client, number)
        erase(person)
        assert RememberedStop.objects.count() == 4  # two purposes, two names
        again = contacts.find_or_create(person.org, [known_by])[known_by]
        assert again.pk != person.pk
        with pytest.raises(Problem, match="opted out"):
            ledger.grant(
                person.org,
                [ledger.Entry(again.pk, "WHATSAPP", "marketing", "api", "k", timezone.now())],
            )

    def test_learning_the_other_name_later_brings_it_too(self, client, number, person):
        Contact.objects.filter(pk=person.pk).update(phone=None)
        person.refresh_from_db()
        wish = ledger.Entry(
            person.pk, "WHATSAPP", "marketing", "person", "person", timezone.now(), {"m": "stop"}
        )
        ledger.revoke(person.org, [wish])
        erase(person)
        contacts.find_or_create(person.org, [Recipient(PHONE, None)])
        both = Recipient(PHONE, BSUID)
        found = contacts.find_or_create(person.org, [both])[both]
        assert Consent.objects.get(contact=found, purpose="marketing").status == "REVOKED"

    def test_a_refused_grant_leaves_no_new_trace(self, client, number, person, api):
        self.stop(client, number)
        erase(person)
        body = {"phone": PHONE, "purpose": "marketing"}
        answer = api.post("/api/v1/consents", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "person_opted_out")
        assert DIGITS not in everything_stored()

    def test_who_said_no_stop_may_agree_anew(self, person, api):
        erase(person)
        body = {"phone": PHONE, "purpose": "marketing"}
        assert api.post("/api/v1/consents", body, format="json").status_code == 201

    def test_a_stop_said_while_the_erasure_goes_on_stays(self, client, number, person):
        erasing.request(person, actor="user:1", reason="r")
        self.stop(client, number)
        erase(person)
        entry = ledger.Entry(
            Contact.objects.get(phone=PHONE).pk, "WHATSAPP", "marketing", "api", "k", timezone.now()
        )
        with pytest.raises(Problem, match="opted out"):
            ledger.grant(person.org, [entry])

    def test_a_stop_behind_a_later_refusal_or_one_at_meta_is_remembered(
        self, client, number, person
    ):
        self.stop(client, number)
        soon = timezone.now() + timedelta(seconds=1)
        for record, source in ((ledger.deny, "api"), (ledger.revoke, "provider")):
            record(
                person.org,
                [
                    ledger.Entry(
                        person.pk, "WHATSAPP", "marketing", source, "x", soon, {"n": source}
                    )
                ],
            )
        erase(person)
        kept = RememberedStop.objects.filter(purpose="marketing")
        assert set(kept.values_list("source", flat=True)) == {"person"}

    def test_a_start_after_coming_back_is_remembered_as_well(self, client, number, person):
        self.stop(client, number)
        erase(person)
        known = Recipient(PHONE, None)
        again = contacts.find_or_create(person.org, [known])[known]
        proof = {"form": "signed"}
        entries = [
            ledger.Entry(again.pk, "WHATSAPP", purpose, "api", "k", timezone.now(), proof)
            for purpose in ("marketing", "transactional")
        ]
        ledger.grant(person.org, entries)
        erase(again)
        once_more = contacts.find_or_create(person.org, [known])[known]
        assert not Consent.objects.filter(contact=once_more).exists()

    def test_another_organization_is_not_bound_by_it(self, client, number, person, other_org):
        self.stop(client, number)
        erase(person)
        somebody = Recipient(PHONE, None)
        contacts.find_or_create(other_org, [somebody])
        assert not Consent.objects.filter(org=other_org).exists()
