"""Who may call what: every URL of the API, without a key, with a wrong one, with another's."""

from __future__ import annotations

import uuid

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from orgs import keys

pytestmark = [pytest.mark.django_db, pytest.mark.core]

UNSIGNED = {"whatsapp-webhook", "whatsapp-webhook-app"}


def api_paths() -> list[str]:
    found: list[str] = []

    def walk(patterns, prefix: str) -> None:
        for pattern in patterns:
            text = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, text)
            elif isinstance(pattern, URLPattern) and pattern.name not in UNSIGNED:
                found.append(text)

    walk(get_resolver().url_patterns, "/")
    api = [path for path in found if path.startswith("/api/v1/")]
    return [
        path.replace("<uuid:pk>", str(uuid.UUID(int=7))).replace("<int:pk>", "1") for path in api
    ]


PATHS = api_paths()


def test_the_walk_finds_the_api():
    assert len(PATHS) >= 9


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Basic dTpw"])
def test_every_url_wants_a_valid_key(path, authorization):
    client = APIClient()
    if authorization:
        client.credentials(HTTP_AUTHORIZATION=authorization)
    for method in (client.get, client.post):
        answer = method(path)
        assert answer.status_code in {401, 405}
        if answer.status_code == 401:
            assert answer.json()["code"] == "authentication_required"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", PATHS)
def test_every_url_refuses_the_wrong_organization_header(path, api):
    answer = api.get(path, HTTP_X_ORG_ID="globex")
    assert answer.status_code == 403
    assert answer.json()["code"] == "org_mismatch"


def test_the_right_organization_header_is_fine(api, org):
    assert api.get("/api/v1/outbound-messages", HTTP_X_ORG_ID=org.org_id).status_code == 200


def test_a_revoked_key_opens_nothing(org):
    key, secret = keys.issue(org, name="k", scopes=["read"], actor="system:tests")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert client.get("/api/v1/outbound-messages").status_code == 200
    keys.revoke(key, actor="user:1")
    assert client.get("/api/v1/outbound-messages").status_code == 401


def test_an_inactive_organization_is_refused(org, api):
    org.is_active = False
    org.save()
    keys.forget_all()
    assert api.get("/api/v1/outbound-messages").json()["code"] == "org_inactive"


@pytest.mark.parametrize(
    ("scopes", "method", "path"),
    [
        (("read",), "post", "/api/v1/outbound-messages"),
        (("send",), "get", "/api/v1/outbound-messages"),
        (("send",), "get", "/api/v1/outbound-messages/dlq"),
        (("read", "send"), "post", "/api/v1/consents"),
        (("send",), "get", "/api/v1/consents"),
    ],
)
def test_a_key_does_only_what_its_scopes_say(org, client_of, scopes, method, path):
    answer = getattr(client_of(org, scopes), method)(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_required")
