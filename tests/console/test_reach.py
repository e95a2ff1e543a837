"""Staff limited to one organisation see that one's messages, figures and incidents only."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert
from messaging.states import Status
from tests.factories.messaging import MessageFactory, PhoneNumberFactory, TemplateFactory
from tests.factories.orgs import staff_user

pytestmark = [pytest.mark.django_db, pytest.mark.core]

LIST = reverse("admin:messaging_outboundmessage_changelist")


@pytest.fixture
def theirs(other_org):
    number = PhoneNumberFactory(org=other_org, display_phone_number="+1 202 555 0177")
    TemplateFactory(account=number.account, name="their_secret_template")
    Alert.objects.create(
        rule="dlq",
        key="theirs",
        org=other_org,
        severity="warning",
        title="Trouble at globex",
        opened_at=timezone.now(),
        last_seen_at=timezone.now(),
    )
    return MessageFactory(phone_number=number, status=Status.FAILED, error_code="131026")


@pytest.fixture
def clerk(client, org, theirs) -> User:
    user = staff_user("view_outboundmessage", orgs=(org,))
    client.force_login(user)
    return user


def test_the_dashboard_counts_theirs_alone(client, clerk, number):
    MessageFactory(phone_number=number)
    html = client.get(reverse("console:dashboard")).content.decode()
    assert re.search(r"Dead letters</span>\s*<span class=.console-figure.>0<", html)
    assert re.search(r"Queued</span>\s*<span class=.console-figure.>1<", html)
    assert "0177" not in html
    assert "globex" not in html


def test_the_list_its_filters_and_its_search_stay_inside(client, clerk, number, theirs):
    mine = MessageFactory(phone_number=number)
    answer = client.get(LIST)
    assert [message.pk for message in answer.context["cl"].result_list] == [mine.pk]
    html = answer.content.decode()
    assert "globex" not in html
    assert "their_secret_template" not in html
    for filters in (
        {"org": "globex"},
        {"q": str(theirs.pk)},
        {"number": theirs.phone_number_id},
        {"template": theirs.template_name, "status": Status.FAILED},
    ):
        assert list(client.get(LIST, filters).context["cl"].result_list) == []


def test_another_organisations_message_is_not_there(client, clerk, theirs):
    page = reverse("admin:messaging_outboundmessage_change", args=[theirs.pk])
    assert client.get(page).status_code == 302
    assert client.get(page, {"explain": 1}).status_code == 302


def test_whoever_may_not_see_messages_sees_no_figures(client, clerk):
    clerk.user_permissions.clear()
    assert "console-dashboard" not in client.get(reverse("admin:index")).content.decode()
    assert client.get(reverse("console:dashboard")).status_code == 403


def test_an_incident_of_its_time_is_told_on_the_page(client, theirs):
    client.force_login(User.objects.create_superuser("ada"))
    page = reverse("admin:messaging_outboundmessage_change", args=[theirs.pk])
    Alert.objects.update(opened_at=theirs.updated_at)
    assert "Trouble at globex" in client.get(page).content.decode()
    Alert.objects.update(opened_at=timezone.now())  # when it was over
    assert "Trouble at globex" not in client.get(page).content.decode()
    assert "Trouble at globex" in client.get(reverse("admin:index")).content.decode()
