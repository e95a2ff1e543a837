"""Background work that costs next to nothing while there is none."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent.models import ConsentPolicy
from messaging import chores

pytestmark = [pytest.mark.django_db, pytest.mark.core]


def test_without_work_it_is_one_statement():
    with CaptureQueriesContext(connection) as captured:
        assert chores.do_some() == 0
    assert len(captured) == 1


def test_only_what_is_wanted_is_done(org):
    ConsentPolicy.objects.create(org=org, reconsider=True)
    assert chores.do_some() == 1
    assert chores.do_some() == 0
