"""What is asked of many dead letters at once is read from an index alone, not from their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.dashboard import queue
from messaging import queries
from messaging.dead_letters import grouping
from messaging.models import OutboundMessage
from orgs import database
from tests.messaging.dead_letters.cast import dead

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

QUESTIONS: dict[str, Callable[[], Any]] = {
    "by code": lambda: queries.dead_by_code(OutboundMessage.objects.all()),
    "by cause": lambda: grouping.by_cause(OutboundMessage.objects.dead(), database.now()),
    "by day": lambda: grouping.by_day(OutboundMessage.objects.dead(), database.now()),
    "queued by number": lambda: queue.depth(None),
}
OTHER_WAYS = ("seqscan", "bitmapscan", "indexscan")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_reads_an_index_alone(number, question):
    dead(number, 3)
    with CaptureQueriesContext(connection) as asked:
        QUESTIONS[question]()
    with connection.cursor() as cursor:
        # The table is too small for the planner to choose by itself: if an index alone can serve
        # it is taken now.
        for other in OTHER_WAYS:
            cursor.execute(f"SET LOCAL enable_{other} = off")
        plans = []
        for query in asked:
            if "outbound_message" in query["sql"]:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                plans.append(cursor.fetchone()[0][0]["Plan"])
        # The connection keeps the plans of the key checks that end the test.
        for other in OTHER_WAYS:
            cursor.execute(f"RESET enable_{other}")
    assert plans
    scans = [node for plan in plans for node in _nodes(plan) if "Relation Name" in node]
    assert {node["Node Type"] for node in scans} == {"Index Only Scan"}, scans
