"""Lists of tables that grow without end: they open without counting, and turn pages by key."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert
from consent.models import Consent, Contact, Decision
from messaging.models import WebhookDelivery
from orgs import audit
from orgs.admin import keyset
from orgs.models import AuditEvent
from tests.factories.consent import ConsentFactory, ContactFactory
from tests.factories.messaging import DeliveryFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]

TRAIL = reverse("admin:orgs_auditevent_changelist")
CONSENTS = reverse("admin:consent_consent_changelist")


@pytest.fixture(autouse=True)
def staff(client) -> User:
    user = User.objects.create_superuser("ada", password="x")
    client.force_login(user)
    return user


def noted(org, target: str = "org:acme", action: str = "org.changed") -> AuditEvent:
    audit.record([audit.Entry(org.pk, "user:1", action, target)])
    return AuditEvent.objects.latest("pk")


LARGE = [
    (AuditEvent, noted),
    (Contact, lambda org: ContactFactory(org=org)),
    (Consent, lambda org: ConsentFactory(org=org, contact__org=org)),
    (WebhookDelivery, lambda org: DeliveryFactory(events=[org.pk])),
]


def address(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.parametrize(("model", "make"), LARGE, ids=lambda each: getattr(each, "__name__", ""))
def test_pages_follow_each_other_and_nothing_is_counted(client, org, monkeypatch, model, make):
    monkeypatch.setattr("orgs.admin.keyset.ByKey.list_per_page", 3)
    for _ in range(8):
        make(org)
    wanted = list(model.objects.order_by("-pk").values_list("pk", flat=True))
    url, found = address(model), []
    with CaptureQueriesContext(connection) as asked:
        cl = client.get(url).context["cl"]
        found += [row.pk for row in cl.result_list]
        while cl.older_url:
            cl = client.get(url + cl.older_url).context["cl"]
            found += [row.pk for row in cl.result_list]
        table = f'FROM "{model._meta.db_table}"'
        of_list = [query["sql"] for query in asked if table in query["sql"]]
    assert found == wanted
    back = client.get(url + cl.newer_url).context["cl"]
    assert [row.pk for row in back.result_list][-1] > cl.result_list[0].pk
    assert of_list
    for sql in of_list:
        assert "OFFSET" not in sql
        # SQLite, which guesses nothing, counts so far.
        assert "COUNT(" not in sql or "LIMIT 10000" in sql


def test_a_rare_match_is_looked_for_a_stretch_at_a_time(client, org, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_AT", 4)
    rare = ConsentFactory(org=org, contact__org=org, status=Decision.DENIED)
    for _ in range(9):
        ConsentFactory(org=org, contact__org=org)
    answer = client.get(CONSENTS, {"status__exact": Decision.DENIED})
    cl, looks = answer.context["cl"], 1
    while not cl.result_list and cl.further_url:
        assert "Look further back" in answer.content.decode()
        assert cl.looked_back_to is not None
        answer = client.get(CONSENTS + cl.further_url)
        cl, looks = answer.context["cl"], looks + 1
    assert [row.pk for row in cl.result_list] == [rare.pk]
    assert looks == 3
    # An index leads to an organisation's own: nothing is looked for.
    assert client.get(CONSENTS, {"org__id__exact": org.pk}).context["cl"].further_url == ""


@pytest.mark.parametrize("place", ["nonsense", "9" * 40, "-1", "\0"])
def test_a_place_that_is_none_breaks_nothing(client, org, place):
    noted(org)
    assert client.get(TRAIL, {"before": place}).status_code == 200


def test_the_trail_is_searched_by_the_exact_target(client, org):
    wanted = noted(org, "message:Abc")
    noted(org, "message:abc")
    with CaptureQueriesContext(connection) as asked:
        cl = client.get(TRAIL, {"q": " message:Abc "}).context["cl"]
    assert list(cl.result_list) == [wanted]
    of_list = [query["sql"] for query in asked if "message:Abc" in query["sql"]]
    assert of_list
    assert not [sql for sql in of_list if "UPPER(" in sql]  # no index serves that


def test_an_old_day_of_the_trail_is_found_by_where_its_keys_begin(client, org):
    now = timezone.now()
    days = {}
    for back in (9, 6, 3, 0):
        with time_machine.travel(now - timedelta(days=back), tick=False):
            days[back] = noted(org)
    day = f"{now - timedelta(days=6):%Y-%m-%d}"
    cl = client.get(TRAIL, {"at_from_0": day, "at_to_0": day}).context["cl"]
    assert list(cl.result_list) == [days[6]]
    narrowed = str(cl.queryset.query)
    assert f'"id" >= {days[6].pk}' in narrowed
    assert f'"id" <= {days[6].pk}' in narrowed
    later = f"{now + timedelta(days=3):%Y-%m-%d}"
    assert not client.get(TRAIL, {"at_from_0": later}).context["cl"].result_list
    earlier = f"{now - timedelta(days=90):%Y-%m-%d}"
    assert not client.get(TRAIL, {"at_to_0": earlier}).context["cl"].result_list


def test_a_list_of_middling_size_is_counted_no_further_than_a_bound(client, org, monkeypatch):
    monkeypatch.setattr(keyset, "COUNTED", 3)
    now = timezone.now()
    for place in range(5):
        Alert.objects.create(
            rule="dlq", key=str(place), title="x", severity="info", opened_at=now, last_seen_at=now
        )
    cl = client.get(reverse("admin:alerts_alert_changelist")).context["cl"]
    assert cl.result_count == 3
