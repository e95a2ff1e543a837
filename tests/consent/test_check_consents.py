"""The command that proves the ledger."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from consent import checking, ledger
from consent.models import Consent
from tests.factories.consent import ConsentFactory, ContactFactory

pytestmark = [pytest.mark.django_db, pytest.mark.core]


@pytest.fixture
def consents(org) -> list[Consent]:
    at = timezone.now() - timedelta(days=3)
    entries = [
        ledger.Entry(ContactFactory(org=org).pk, "WHATSAPP", "marketing", "api", "key:x", at)
        for _ in range(5)
    ]
    rows = ledger.grant(org, entries)
    ledger.revoke(org, [entries[0]])
    return rows


def check() -> str:
    out = io.StringIO()
    call_command("check_consents", stdout=out)
    return out.getvalue()


def test_a_sound_ledger_is_counted_and_proved(consents):
    text = check()
    assert "Consents: 5" in text
    assert "Events: 6" in text
    assert "follows from its history" in text


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"status": "GRANTED"}, checking.NOT_FOLLOWING),
        ({"expires_at": timezone.now()}, checking.NOT_FOLLOWING),
        ({"source": "person"}, checking.NOT_FOLLOWING),
        ({"proof": {"forged": "yes"}}, checking.NOT_FOLLOWING),
        ({"decided_at": timezone.now()}, checking.NOT_FOLLOWING),
    ],
)
def test_an_answer_changed_behind_the_ledgers_back_is_found(consents, fields, finding, monkeypatch):
    monkeypatch.setattr(checking, "BATCH", 2)
    Consent.objects.filter(pk=consents[0].pk).update(**fields)
    with pytest.raises(CommandError, match="1 consent"):
        check()
    report = checking.check_all()
    assert (report.consents, dict(report.wrong)) == (5, {finding: 1})
    assert report.examples == {finding: [consents[0].pk]}


def test_an_answer_without_any_decision_is_found(consents):
    stray = ConsentFactory()
    assert checking.check_all().examples == {checking.WITHOUT_HISTORY: [stray.pk]}


def test_a_person_of_another_organization_is_found(consents, other_org):
    Consent.objects.filter(pk=consents[1].pk).update(org=other_org)
    assert checking.check_all().examples == {checking.OTHER_ORGANIZATION: [consents[1].pk]}


def test_only_the_first_examples_are_kept(org, monkeypatch):
    monkeypatch.setattr(checking, "EXAMPLES", 2)
    for _ in range(4):
        ConsentFactory()
    report = checking.check_all()
    assert report.wrong.total() == 4
    assert len(report.examples[checking.WITHOUT_HISTORY]) == 2
