from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orgs import keys
from orgs.models import ApiKey, AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def issue(org, *scopes: str):
    return keys.issue(org, name="shop", scopes=scopes or ("send",), actor="user:1")


def test_the_secret_is_not_in_the_database(org):
    key, secret = issue(org)
    assert secret.startswith(f"ob_{key.prefix}_")
    stored = str(ApiKey.objects.filter(pk=key.pk).values().get())
    assert secret not in stored
    assert secret.rpartition("_")[2] not in stored


def test_a_key_is_found_by_its_secret_only(org):
    key, secret = issue(org)
    assert keys.find(secret) == key
    assert keys.find(secret + "x") is None
    assert keys.find("") is None


def test_a_revoked_key_is_gone_at_once_and_the_deed_is_audited(org):
    key, secret = issue(org)
    assert keys.find(secret)
    keys.revoke(key, actor="user:1", reason="lost")
    assert keys.find(secret) is None
    assert AuditEvent.objects.get(action="api_key.revoked").reason == "lost"


def test_a_second_look_within_seconds_asks_the_database_nothing(org, django_assert_num_queries):
    _, secret = issue(org)
    keys.find(secret)
    with django_assert_num_queries(0):
        keys.find(secret)


def test_the_last_use_is_written_at_most_once_a_minute(org, settings):
    settings.OUTBOUND_API_KEY_CACHE_SECONDS = 0
    key, secret = issue(org)
    keys.find(secret)
    key.refresh_from_db()
    first = key.last_used_at
    assert first
    keys.find(secret)
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    keys.find(secret)
    key.refresh_from_db()
    assert key.last_used_at >= first


@pytest.mark.parametrize("scopes", [["admin"], ["send", "fly"]])
def test_a_scope_that_does_not_exist_is_refused(org, scopes):
    with pytest.raises(ValueError, match="Scopes are"):
        keys.issue(org, name="x", scopes=scopes, actor="user:1")


def test_a_key_without_scopes_is_refused(org):
    with pytest.raises(ValueError, match="Scopes are"):
        keys.issue(org, name="x", scopes=[], actor="user:1")
