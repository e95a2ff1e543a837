"""The cast of every test: two organisations, a number each, and clients with their keys."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest
from django.conf import settings
from rest_framework.test import APIClient

from messaging import channels, departures, inbox, template_cache
from orgs import keys
from orgs.models import Organization
from ratelimit import limiter
from tests.factories.messaging import PhoneNumberFactory
from tests.factories.orgs import OrganizationFactory
from tests.fakes import ScriptedProvider

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile(
    "outbound", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("outbound")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with its reason, what the database in use cannot show."""
    for item in items:
        if item.get_closest_marker("postgres") and settings.OUTBOUND_EMBEDDED:
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
        if item.get_closest_marker("redis") and not settings.REDIS_URL:
            item.add_marker(pytest.mark.skip(reason="needs Redis"))


@pytest.fixture(autouse=True)
def _no_slot_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may stall for longer than a start slot is good for."""
    monkeypatch.setattr(departures, "GRACE_SECONDS", 3600.0)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Each test has a database of its own, but the process goes on."""
    keys.forget_all()
    inbox.forget_secrets()
    template_cache.forget_all()
    limiter.reset()


@pytest.fixture
def org(db: None) -> Organization:
    return OrganizationFactory(org_id="acme")


@pytest.fixture
def other_org(db: None) -> Organization:
    return OrganizationFactory(org_id="globex")


@pytest.fixture
def number(org: Organization):
    return PhoneNumberFactory(org=org)


@pytest.fixture
def client_of() -> Callable[..., APIClient]:
    """Make an API client with a fresh key of an organisation."""

    def make(org: Organization, scopes: tuple[str, ...] = ("send", "read", "manage")) -> APIClient:
        _, secret = keys.issue(org, name="tests", scopes=list(scopes), actor="system:tests")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make


@pytest.fixture
def api(org: Organization, client_of: Callable[..., APIClient]) -> APIClient:
    return client_of(org)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """Replace the border to the outside by a script."""
    scripted = ScriptedProvider()
    monkeypatch.setattr(channels, "provider", lambda _channel: scripted)
    return scripted
