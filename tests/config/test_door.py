"""The short way in for webhooks: the same answers as Django's, and Django for all the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from config import door
from messaging import inbox
from messaging.models import WebhookDelivery
from tests.door import DoorClient, Samples, requests_counted
from tests.factories.messaging import MetaAppFactory
from tests.messaging.test_webhooks import URL, payload, post

LARGEST = 3 * 1024 * 1024

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture
def through() -> DoorClient:
    return DoorClient()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> DoorClient:
    """A client of a door behind which there is nobody."""
    monkeypatch.setattr("tests.door.get_wsgi_application", lambda: _nobody)
    return DoorClient()


def _nobody(_environ: Any, _start: Any) -> Any:
    pytest.fail("Django was asked")


@pytest.mark.parametrize("path", [URL, f"{URL}/{{app}}"])
def test_what_is_kept_is_answered_without_django(closed, number, path):
    body = json.dumps(payload(number)).encode()
    answer = post(closed, body, url=path.format(app=number.account.app.app_id))
    assert (answer.status_code, answer.content) == (200, b"")
    kept = WebhookDelivery.objects.get()
    assert (bytes(kept.body), kept.app, kept.only_org) == (body, number.account.app, None)


def test_a_delivery_for_one_organisation_is_kept_as_such(closed, number):
    assert post(closed, payload(number), **{"X-Org-Id": number.org.org_id}).status_code == 200
    assert WebhookDelivery.objects.get().only_org == number.org


@pytest.mark.parametrize("https", [False, True])
def test_the_answer_has_the_headers_of_djangos(client, through, number, settings, https):
    settings.SECURE_HSTS_SECONDS = 3600
    settings.SECURE_SSL_REDIRECT = https
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if https else None
    door._usual_headers.cache_clear()
    forwarded = {"X-Forwarded-Proto": "https"} if https else {}
    answers = [post(each, payload(number), **forwarded) for each in (client, through)]
    door._usual_headers.cache_clear()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert dict(answers[0].items()) == dict(answers[1].items())
    assert ("Strict-Transport-Security" in answers[1]) == https


def test_plain_http_is_redirected_where_https_is_asked(through, number, settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert post(through, payload(number), **{"X-Forwarded-Proto": "http"}).status_code == 301
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("host", ["elsewhere.example", "localhost,evil", ""])
def test_another_host_is_refused(through, number, settings, host):
    settings.ALLOWED_HOSTS = ["outbound.example"]
    assert post(through, payload(number), Host=host).status_code == 400
    assert post(through, payload(number), Host="outbound.example:8000").status_code == 200


@pytest.mark.parametrize("path", [f"{URL}/", f"{URL}/1/2", f"{URL}s", f"{URL}1"])
def test_addresses_that_only_begin_alike_do_not_exist(through, number, path):
    assert post(through, payload(number), url=path).status_code == 404
    assert not WebhookDelivery.objects.exists()


def test_an_address_below_a_prefix_is_found(closed, number):
    answer = post(closed, payload(number), SCRIPT_NAME="/outbound")
    assert answer.status_code == 200


def test_the_challenge_is_djangos(through):
    app = MetaAppFactory(verify_token="v", shared=True)
    query = {"hub.mode": "subscribe", "hub.verify_token": app.verify_token, "hub.challenge": "7"}
    assert through.get(URL, query).content == b"7"


@pytest.mark.parametrize("length", ["", "0", "-1", "+1", "1e1", "²", str(LARGEST + 1)])
def test_a_body_without_a_fitting_length_is_not_read(length):
    assert not door._length({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": length}, LARGEST)


def test_without_the_database_meta_is_asked_to_repeat(closed, number, monkeypatch):
    def away(*_given: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(inbox, "store", away)
    answer = post(closed, payload(number))
    assert (answer.status_code, answer["Retry-After"], answer.content) == (503, "5", b"")


def test_requests_are_counted_as_djangos_are(client, through, number):
    def counted(each: Client) -> Samples:
        with requests_counted() as counts:
            assert post(each, payload(number)).status_code == 200
        return counts

    assert counted(client) == counted(through)


def test_a_fault_is_answered_by_django(through, number, monkeypatch):
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(inbox, "store", broken)
    assert post(through, payload(number)).status_code == 500


def test_a_signature_is_judged_once(through, number, monkeypatch):
    asked: list[bytes] = []
    monkeypatch.setattr(inbox, "authenticate", lambda body, *_given: asked.append(body))
    assert post(through, payload(number)).status_code == 401
    assert len(asked) == 1
