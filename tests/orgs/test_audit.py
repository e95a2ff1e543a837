from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from orgs import audit
from orgs.append_only import deletion_allowed
from orgs.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.core]

TABLES = ["orgs_auditevent", "consent_consentevent", "message_event"]


@pytest.fixture
def event(org) -> AuditEvent:
    audit.record([audit.Entry(org.pk, "user:1", "org.changed", "org:acme", "why", {"a": 1}, None)])
    return AuditEvent.objects.get()


def test_an_entry_says_who_what_and_why(event):
    assert (event.actor, event.action, event.reason) == ("user:1", "org.changed", "why")
    assert event.before == {"a": 1}


@pytest.mark.parametrize(
    "statement", ["UPDATE orgs_auditevent SET reason = 'x'", "DELETE FROM orgs_auditevent"]
)
def test_the_database_refuses_to_change_the_trail(event, statement):
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.get().reason == "why"


@pytest.mark.parametrize("table", TABLES)
def test_every_history_has_both_guards(db, table):
    query = (
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [table])
        names = {row[0] for row in cursor.fetchall()}
    assert {f"{table}_no_update", f"{table}_no_delete"} <= names


def test_the_model_refuses_too(event):
    event.reason = "changed"
    with pytest.raises(TypeError, match="append-only"):
        event.save()
    with pytest.raises(TypeError, match="append-only"):
        event.delete()


def test_the_permission_to_delete_ends_with_its_block(event):
    with deletion_allowed():
        pass
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.all().delete()
