"""Who did something, for people to read; and lists that say why nothing is in them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from orgs import actors, audit, keys
from orgs.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="x")


def test_staff_and_keys_have_names_and_others_a_word(org, ada, django_assert_num_queries):
    key, _secret = keys.issue(org, name="shop", scopes=["read"], actor="system:tests")
    wanted = {
        f"user:{ada.pk}": "ada",
        "user:0": "user:0",
        f"key:{key.prefix}": "API key shop",
        "key:gone": "API key gone",
        "system:connect_number": "Outbound (connect number)",
        "person": "The person",
        "meta": "Meta",
    }
    with django_assert_num_queries(2):
        assert actors.names(wanted) == wanted
    audit.record([audit.Entry(org.pk, actor, "thing.done", "thing:1") for actor in wanted])
    rows = AuditEvent.objects.filter(target="thing:1").annotate(who=actors.shown("actor"))
    assert {row.actor: actors.in_words(row.who) for row in rows} == wanted


def test_the_page_of_an_event_tells_names_and_values(client, ada, org):
    client.force_login(ada)
    changed = {"before": {"is_active": True}, "after": {"is_active": False, "names": ["a", "b"]}}
    audit.record([audit.Entry(org.pk, f"user:{ada.pk}", "org.changed", "org:acme", **changed)])
    event = AuditEvent.objects.get(action="org.changed")
    text = client.get(reverse("admin:orgs_auditevent_change", args=[event.pk])).content.decode()
    for part in ("ada", "<dt>Is active</dt><dd>yes</dd>", "<dd>no</dd>", "<dd>a, b</dd>"):
        assert part in text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("alerts_route", "A route tells people of incidents"),
        ("ratelimit_hold", "Nothing stands still"),
        ("messaging_deadletter", "No message has failed."),
        ("messaging_outboundmessage", "Nothing was sent yet."),
    ],
)
def test_an_empty_list_says_what_that_means(client, ada, page, text):
    client.force_login(ada)
    assert text in client.get(reverse(f"admin:{page}_changelist")).content.decode()


def test_a_list_that_a_search_has_emptied_says_so(client, ada, org):
    client.force_login(ada)
    url = reverse("admin:orgs_organization_changelist")
    text = client.get(url, {"q": "nobody"}).content.decode()
    assert "There are no organisations for this search" in text
    assert "There are no organisations" not in client.get(url).content.decode()
