from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent.models import Consent, Contact
from tests.factories.consent import ConsentFactory, ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/consents"
PHONE = "+12025550123"


def record(api, **fields):
    return api.post(URL, {"phone": PHONE, "purpose": "marketing", **fields}, format="json")


def test_a_consent_is_recorded_with_its_proof(api, org):
    answer = record(api, proof={"text": "Yes, send me offers", "ip": "192.0.2.1"})
    assert answer.status_code == 201
    consent = Consent.objects.get(org=org)
    assert (consent.status, consent.proof["ip"]) == ("GRANTED", "192.0.2.1")
    assert answer.json()["phone"] == PHONE


def test_the_latest_decision_is_shown_with_its_history(api):
    record(api)
    consent_id = record(api, status="DENIED").json()["id"]
    shown = api.get(f"{URL}/{consent_id}").json()
    assert shown["status"] == "DENIED"
    assert [event["status"] for event in shown["history"]] == ["GRANTED", "DENIED"]


def test_a_consent_is_revoked_with_a_reason(api):
    consent_id = record(api).json()["id"]
    answer = api.post(f"{URL}/{consent_id}/revoke", {"reason": "asked by mail"}, format="json")
    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert answer.json()["proof"] == {"reason": "asked by mail"}


def test_the_list_is_filtered_and_shows_only_ones_own(api, org, other_org):
    mine = ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))
    ConsentFactory(contact=ContactFactory(org=org, phone="+12025550124"), status="REVOKED")
    ConsentFactory(contact=ContactFactory(org=other_org, phone=PHONE))
    assert len(api.get(URL).json()["results"]) == 2
    assert [row["id"] for row in api.get(URL, {"phone": PHONE}).json()["results"]] == [mine.pk]
    assert len(api.get(URL, {"status": "REVOKED"}).json()["results"]) == 1


def test_the_consents_of_others_do_not_exist(api, other_org):
    theirs = ConsentFactory(contact=ContactFactory(org=other_org))
    assert api.get(f"{URL}/{theirs.pk}").status_code == 404
    assert api.post(f"{URL}/{theirs.pk}/revoke").status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"phone": "0151 1234567"}, "phone"),
        ({"phone": None}, "phone"),
        ({"purpose": "spam"}, "purpose"),
        ({"status": "MAYBE"}, "status"),
        ({"channel": "FAX"}, "channel"),
        ({"source": "provider"}, "source"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"proof": "a text"}, "proof"),
    ],
)
def test_a_wrong_field_is_named(api, fields, field):
    answer = record(api, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert not Contact.objects.exists()


def test_somebody_must_be_named(api):
    answer = api.post(URL, {"purpose": "marketing"}, format="json")
    assert answer.json()["errors"][0]["field"] == "phone"


def test_a_person_who_opted_out_stays_out(api):
    record(api, status="REVOKED", source="person")
    answer = record(api)
    assert (answer.status_code, answer.json()["code"]) == (409, "person_opted_out")


def test_a_decision_of_the_future_is_refused(api):
    answer = record(api, occurred_at=(timezone.now() + timedelta(days=1)).isoformat())
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "occurred_at"


def test_an_agreement_said_to_be_the_persons_own_needs_its_proof(api):
    answer = record(api, source="person")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "proof"
    assert record(api, source="person", proof={"text": "Yes, I agree"}).status_code == 201


@pytest.mark.parametrize("proof", [{"text": "a\x00b"}, {"n": 2**70}, {"text": "x" * 11_000}])
def test_a_proof_that_cannot_be_kept_is_refused(api, proof):
    answer = record(api, proof=proof)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "proof")


def test_the_letters_of_an_escape_are_no_nul(api):
    assert record(api, proof={"text": "a\\u0000b"}).status_code == 201


def test_a_clock_ahead_of_ours_does_not_outlive_a_stop(api):
    ahead = (timezone.now() + timedelta(minutes=4)).isoformat()
    record(api, occurred_at=ahead, proof={"form": "signed"})
    stop = record(api, status="REVOKED", source="person", proof={"text": "STOP"})
    assert stop.json()["status"] == "REVOKED"


class TestBulk:
    def bulk(self, api, *items):
        return api.post(f"{URL}/bulk", {"consents": list(items)}, format="json")

    def test_the_good_ones_go_in_and_the_others_are_explained(self, api, org):
        good = {"phone": PHONE, "purpose": "marketing"}
        answer = self.bulk(
            api, good, {**good, "phone": "12"}, {**good, "purpose": "x"}, "nonsense", good
        )
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [item["status"] for item in results] == [201, 400, 400, 400, 200]
        assert results[1]["problem"]["errors"][0]["field"] == "phone"
        assert results[0]["consent"]["status"] == "GRANTED"
        assert Consent.objects.of(org).count() == 1

    def test_a_stop_is_not_undone_and_the_rest_is_recorded(self, api, org):
        record(api, status="REVOKED", source="person", proof={"text": "STOP"})
        other = {"phone": "+12025550188", "purpose": "marketing"}
        results = self.bulk(api, {"phone": PHONE, "purpose": "marketing"}, other).json()["results"]
        assert [item["status"] for item in results] == [409, 201]
        assert results[0]["problem"]["code"] == "person_opted_out"

    @pytest.mark.parametrize("body", [{}, {"consents": []}, {"consents": "x"}, []])
    def test_it_wants_a_list(self, api, body):
        answer = api.post(f"{URL}/bulk", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")

    def test_the_statements_do_not_grow_with_the_decisions(self, api):
        record(api)  # the key is known from here on
        counts = []
        for first, many in ((100, 2), (200, 60)):
            items = [
                {
                    "phone": f"+1202555{first + n:04}",
                    "purpose": "marketing",
                    "occurred_at": "2026-01-01T00:00:00Z",
                }
                for n in range(many)
            ]
            with CaptureQueriesContext(connection) as captured:
                assert self.bulk(api, *items).status_code == 200
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_where_somebody_is_can_be_told(self, api):
        self.bulk(api, {"phone": PHONE, "purpose": "marketing", "time_zone": "America/Denver"})
        assert Contact.objects.get().time_zone == "America/Denver"
        wrong = {"phone": PHONE, "purpose": "marketing", "time_zone": "Mars/Olympus"}
        assert self.bulk(api, wrong).json()["results"][0]["status"] == 400
