"""The short way in for messages: the same answers as Django's, and nothing done twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from messaging import intake
from messaging.api import rendering
from messaging.intake import accepting
from messaging.models import OutboundMessage
from orgs import keys
from orgs.models import Organization
from tests.door import DoorApiClient, Samples, requests_counted
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.messaging.test_api_messages import PHONE, URL, body

pytestmark = [pytest.mark.django_db, pytest.mark.core]

FRESH = {"id", "idempotency_key", "due_at", "expires_at", "created_at", "updated_at"}


@pytest.fixture
def consent(org, number):
    return ConsentFactory(contact=ContactFactory(org=org, phone=PHONE))


@pytest.fixture
def through(org: Organization) -> DoorApiClient:
    return _with_key(DoorApiClient(), org)


def _with_key(client: APIClient, org: Organization, *scopes: str) -> Any:
    _, secret = keys.issue(org, name="tests", scopes=scopes or ["send"], actor="system:tests")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def post(api: APIClient, content: Any, key: str = "", **extra: Any) -> Any:
    if key:
        extra["HTTP_IDEMPOTENCY_KEY"] = key
    raw = content if isinstance(content, bytes) else json.dumps(content)
    return api.post(URL, raw, content_type=extra.pop("media", "application/json"), **extra)


def test_an_accepted_message_is_answered_without_django(through, consent, monkeypatch):
    monkeypatch.setattr("tests.door.get_wsgi_application", lambda: pytest.fail)
    first, again = (post(through, body(), "order-1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again["Idempotent-Replayed"] == "true"
    assert OutboundMessage.objects.get().idempotency_key == "order-1"


def test_the_answer_is_djangos(api, through, consent):
    answers = [post(each, body(), f"order-{place}") for place, each in enumerate((api, through))]
    shown = [json.loads(answer.content) for answer in answers]
    for each in shown:
        for name in FRESH:
            assert each.pop(name)
    assert shown[0] == shown[1]
    headers = [dict(answer.items()) for answer in answers]
    assert headers[0] == headers[1]


@pytest.mark.parametrize(
    ("content", "extra"),
    [
        (b"{", {}),
        (body(type="fax"), {}),
        (body(to="+12025550199"), {}),
        (body(), {"media": "text/plain"}),
        (body(), {"HTTP_X_ORG_ID": "somebody-else"}),
        (body(text={"body": "a" * 300_000}), {}),
    ],
)
def test_a_refusal_is_djangos(org, through, consent, content, extra):
    usual = _with_key(APIClient(), org)
    _assert_both_refuse([post(each, content, **extra) for each in (usual, through)])


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic YTpi"])
def test_a_wrong_key_is_refused_as_by_django(consent, authorization):
    clients = [APIClient(), DoorApiClient()]
    for each in clients:
        each.credentials(HTTP_AUTHORIZATION=authorization)
    _assert_both_refuse([post(each, body()) for each in clients])


def _assert_both_refuse(answers: list[Any]) -> None:
    assert answers[0].status_code >= 400
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].content == answers[1].content
    assert dict(answers[0].items()) == dict(answers[1].items())
    assert not OutboundMessage.objects.exists()


def test_a_key_without_the_scope_is_refused(org, consent):
    reader = _with_key(DoorApiClient(), org, "read")
    answer = post(reader, body())
    assert (answer.status_code, json.loads(answer.content)["code"]) == (403, "scope_required")
    assert not OutboundMessage.objects.exists()


def test_the_list_is_djangos(org, through, consent):
    post(through, body())
    reader = _with_key(DoorApiClient(), org, "read")
    assert len(json.loads(reader.get(URL).content)["results"]) == 1


def test_a_refusal_is_found_once(through, number, monkeypatch):
    asked: list[Any] = []

    def accept(*given: Any) -> Any:
        asked.append(given)
        return accepting.accept(*given)

    monkeypatch.setattr(intake, "accept", accept)
    assert post(through, body()).status_code == 422
    assert len(asked) == 1


@pytest.mark.parametrize(("fault", "status"), [(OperationalError, 503), (RuntimeError, 500)])
def test_a_fault_after_the_insert_does_not_insert_again(
    through, consent, monkeypatch, fault, status
):
    def broken(_answer: Any) -> None:
        raise fault

    monkeypatch.setattr(rendering, "accepted", broken)
    through.raise_request_exception = False
    assert post(through, body()).status_code == status
    assert OutboundMessage.objects.count() == 1


def test_requests_are_counted_as_djangos_are(api, through, consent):
    def counted(each: APIClient, key: str) -> Samples:
        with requests_counted() as counts:
            assert post(each, body(), key).status_code == 201
        return counts

    assert counted(api, "order-1") == counted(through, "order-2")
