from __future__ import annotations

import json

import pytest

from consent.models import Decision
from messaging.api.bodies import LARGEST_BATCH
from messaging.models import MessageEvent, OutboundMessage
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import PhoneNumberFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

URL = "/api/v1/outbound-messages/batch"
PHONE = "+12025550123"


@pytest.fixture(autouse=True)
def consent(org, number):
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))


def item(**fields: object) -> dict[str, object]:
    template = {"name": "order_update", "language": "en_US"}
    body = {"to": PHONE, "type": "template", "category": "utility", "template": template}
    return {**body, **fields}


def post(api, *items: object, **extra: str):
    return api.post(URL, {"messages": items}, format="json", **extra)


def results(answer) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.json()
    return answer.json()["results"]


def statuses(answer) -> list[object]:
    return [result["status"] for result in results(answer)]


def test_each_message_gets_its_result_in_order(api):
    answer = post(
        api,
        item(reference="first"),
        item(to="+12025550199"),
        item(to="12"),
        item(reference="last"),
    )
    first, unknown, wrong, last = results(answer)
    assert (first["status"], first["message"]["reference"]) == (201, "first")
    assert (unknown["status"], unknown["problem"]["code"]) == (422, "consent_required")
    assert (wrong["status"], wrong["problem"]["errors"][0]["field"]) == (422, "to")
    assert (last["status"], last["message"]["reference"]) == (201, "last")
    assert OutboundMessage.objects.count() == MessageEvent.objects.count() == 2


def test_a_message_of_a_batch_is_judged_like_a_single_one(api, org, number):
    refused = [
        item(category="marketing"),
        {"to": PHONE, "type": "text", "text": {"body": "hi"}},
        item(**{"from": "999"}),
        item(expires_at="2020-01-01T00:00:00Z"),
        item(nonsense=1),
        "no object",
    ]
    single = [api.post("/api/v1/outbound-messages", one, format="json") for one in refused]
    found = results(post(api, *refused))
    assert [one["problem"] for one in found] == [answer.json() for answer in single]
    assert [one["status"] for one in found] == [answer.status_code for answer in single]


def test_a_batch_may_be_repeated(api):
    items = [item(idempotency_key=f"k{n}", reference=str(n)) for n in range(5)]
    first = results(post(api, *items[:3]))
    again = results(post(api, *items))
    assert [one["status"] for one in again] == [200, 200, 200, 201, 201]
    assert [one["message"]["id"] for one in again[:3]] == [one["message"]["id"] for one in first]
    assert OutboundMessage.objects.count() == 5


def test_the_same_key_twice_with_the_same_body_makes_one_message(api):
    first, second = results(post(api, item(idempotency_key="k"), item(idempotency_key="k")))
    assert (first["status"], second["status"]) == (201, 200)
    assert first["message"] == second["message"]
    assert OutboundMessage.objects.count() == 1


def test_the_same_key_twice_with_another_body_is_a_conflict(api):
    answer = post(api, item(idempotency_key="k"), item(idempotency_key="k", reference="other"))
    first, second = results(answer)
    assert first["status"] == 201
    assert (second["status"], second["problem"]["code"]) == (422, "idempotency_conflict")


def test_a_refused_key_is_refused_again_in_the_batch_and_free_afterwards(api, consent):
    consent.status = Decision.REVOKED
    consent.save()
    assert statuses(post(api, *[item(idempotency_key="k")] * 2)) == [422, 422]
    consent.status = Decision.GRANTED
    consent.save()
    assert statuses(post(api, item(idempotency_key="k"))) == [201]


def test_another_body_under_a_key_used_before_is_a_conflict(api):
    post(api, item(idempotency_key="k"))
    (one,) = results(post(api, item(idempotency_key="k", reference="other")))
    assert one["problem"]["code"] == "idempotency_conflict"


def test_messages_without_keys_are_all_new(api):
    assert statuses(post(api, item(), item())) == [201, 201]
    assert OutboundMessage.objects.count() == 2


def test_each_message_may_name_its_number(api, org, number):
    second = PhoneNumberFactory(org=org)
    ids = [number.phone_number_id, second.phone_number_id]
    found = results(post(api, *[item(**{"from": one}) for one in ids], item()))
    assert [one["message"]["from"] for one in found[:2]] == ids
    assert found[2]["problem"]["code"] == "number_required"


@pytest.mark.parametrize("count", [0, LARGEST_BATCH + 1])
def test_an_empty_or_too_long_batch_is_refused_as_a_whole(api, count):
    answer = post(api, *[{}] * count)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "messages")


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b'{"messages": [', 400, None),
        (b"nonsense", 400, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "messages"),
        (b'{"messages": {}}', 422, "messages"),
        (b'{"messages": [{}], "more": 1}', 422, "more"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole(api, raw, status, field):
    answer = api.post(URL, raw, content_type="application/json")
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == ([field] if field else [])


def test_the_batch_has_a_body_limit_of_its_own(api, settings):
    settings.OUTBOUND_API_MAX_BODY_BYTES = 1024
    settings.OUTBOUND_API_MAX_BATCH_BODY_BYTES = 4096
    assert statuses(post(api, *[item()] * 10)) == [201] * 10
    assert post(api, *[item()] * 40).status_code == 413


def test_a_body_over_the_limit_of_webhooks_is_read(api):
    long = item(metadata={"note": "x" * 4000})
    answer = post(api, *[long] * 850)
    assert len(json.dumps(long)) * 850 > 3 * 1024 * 1024 + 1024
    assert set(statuses(answer)) == {201}


def test_one_key_for_the_whole_batch_is_refused(api):
    answer = post(api, item(), HTTP_IDEMPOTENCY_KEY="k")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_reading_keys_cannot_send(org, client_of):
    assert post(client_of(org, ("read",)), item()).status_code == 403


def test_nothing_of_another_organization_is_used(other_org, client_of):
    PhoneNumberFactory(org=other_org)
    (one,) = results(post(client_of(other_org), item()))
    assert one["problem"]["code"] == "consent_required"
