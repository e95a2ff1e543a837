"""Background work that costs next to nothing while there is none."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent.models import ConsentPolicy, Contact
from messaging import chores, quiet_hours
from tests.factories.consent import ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def test_without_work_it_is_one_statement():
    with CaptureQueriesContext(connection) as captured:
        assert chores.do_some() == 0
    assert len(captured) == 1


def test_only_what_is_wanted_is_done(org):
    ConsentPolicy.objects.create(org=org, hours_changed_at=timezone.now())
    assert chores.do_some() == 1
    assert chores.do_some() == 0


def test_a_chore_that_fails_keeps_no_other_from_being_done(org, monkeypatch):
    ConsentPolicy.objects.create(org=org, hours_changed_at=timezone.now())
    ContactFactory(org=org, zone_changed_at=timezone.now())
    monkeypatch.setattr(quiet_hours, "reconsider", broken)
    assert chores.do_some() == 1
    assert not Contact.objects.filter(zone_changed_at__isnull=False).exists()


def broken() -> int:
    message = "broken"
    raise ValueError(message)
