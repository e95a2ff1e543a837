"""Statements of the hot path go by primary key, whatever PostgreSQL's figures say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import claims, dispatch
from messaging.models import OutboundMessage
from messaging.providers.base import Outcome, Result
from messaging.states import Status
from tests.factories.consent import ConsentFactory
from tests.factories.messaging import MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

HISTORY = 3000
TABLES = "outbound_message, outbound_attempt"
WRITES = [
    (verb, table)
    for verb in ("UPDATE", "INSERT INTO")
    for table in ("outbound_message", "outbound_attempt", "message_event")
]


@pytest.fixture
def stale_figures(number) -> Iterator[None]:
    """A table of finished messages as its last ANALYZE saw it, and a queue filled since."""
    message = MessageFactory(phone_number=number, status=Status.SENT)
    ConsentFactory(contact=message.contact, purpose=message.purpose)
    at = timezone.now() - timedelta(days=1)

    def like(status: str, count: int) -> list[OutboundMessage]:
        due = at if status == Status.QUEUED else None
        made = MessageFactory.build_batch(
            count, phone_number=number, contact=message.contact, status=status, due_at=due
        )
        for each in made:
            each.org_id = number.org_id
        return made

    OutboundMessage.objects.bulk_create(like(Status.SENT, HISTORY))
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {TABLES}")
    OutboundMessage.objects.bulk_create(like(Status.QUEUED, 40))


def _goes_by_id(sql: str) -> bool:
    """Tell the statements that are given the messages from those that look for them."""
    writes = any(f"{verb} {table}" in sql.replace('"', "") for verb, table in WRITES)
    return writes or ") AS chosen (" in sql or "WITH ORDINALITY" in sql


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.usefixtures("stale_figures")
def test_no_statement_begins_with_all_that_is_queued_or_under_way():
    with CaptureQueriesContext(connection) as recorded:
        messages = claims.claim_due(20).messages
        dispatch.record(
            [
                (message, Result(str(message.pk), Outcome.ACCEPTED, provider_message_id="w"))
                for message in messages
            ]
        )
    assert messages
    said = [query["sql"] or "" for query in recorded.captured_queries]  # None: planned before
    hot = [sql for sql in said if _goes_by_id(sql)]
    assert len(hot) == 7
    for sql in hot:
        plan = plan_of(sql)
        assert "idx_outbound_message" not in plan, plan
        assert not ("Nested Loop" in plan and "Seq Scan on outbound" in plan), plan
