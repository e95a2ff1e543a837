"""Counters that are as true as the facts they count."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from prometheus_client import Counter, Histogram

from orgs import measures, tallies
from orgs.models import MetricTally
from orgs.tallies import Tally

TALLY = Tally("outbound_test_facts_total", "Of these tests only.", ["word"])
MEASURED = Counter("outbound_test_measured_total", "Of these tests only.", ["word"])
SECONDS = Histogram("outbound_test_seconds", "Of these tests only.", buckets=(1, 10))


@pytest.mark.django_db
@pytest.mark.core
def test_what_is_rolled_back_was_not_counted():
    TALLY.add("one")
    try:
        with transaction.atomic():
            TALLY.add("one", by=5)
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    TALLY.add("one", by=2)
    TALLY.add("other")
    assert (TALLY.value("one"), TALLY.value("other"), TALLY.value("none")) == (3, 1, 0)


@pytest.mark.django_db
@pytest.mark.core
def test_what_adds_up_to_nothing_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert tallies.add([TALLY.line("one"), TALLY.line("one", by=-1)]) == 0
    with django_assert_num_queries(1):
        assert tallies.add([TALLY.line("one"), TALLY.line("two"), TALLY.line("one")]) == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_transactions_never_wait_for_the_counter_of_each_other():
    counted = threading.Event()

    def other():
        with transaction.atomic():
            TALLY.add("one")
        connection.close()
        counted.set()

    with transaction.atomic():
        TALLY.add("one")
        thread = threading.Thread(target=other)
        thread.start()
        assert counted.wait(10)
    thread.join()
    assert TALLY.value("one") == 2
    assert MetricTally.objects.filter(name=TALLY.name).count() == 2


@pytest.mark.postgres
@pytest.mark.django_db
def test_rows_of_connections_long_gone_are_folded_without_a_change_of_the_sum():
    TALLY.add("one", by=3)
    TALLY.add("two")
    row = MetricTally.objects.get(name=TALLY.name, labels=TALLY.line("one").labels)
    for shard in (1, 2):
        MetricTally.objects.create(
            name=row.name,
            labels=row.labels,
            shard=shard,
            value=10,
            updated_at=row.updated_at - timedelta(hours=2),
        )
    assert tallies.fold() == 2
    assert TALLY.value("one") == 23
    shards = MetricTally.objects.filter(name=TALLY.name).values_list("shard", flat=True)
    assert tallies.COMMON in shards
    assert tallies.fold() == 0


@pytest.mark.django_db
@pytest.mark.core
def test_each_process_adds_its_increase(django_assert_num_queries):
    measures.publish()
    before = tallies.totals().get(("outbound_test_measured_total", '{"word":"one"}'), 0)
    MEASURED.labels("one").inc(2)
    SECONDS.observe(5)
    measures.publish()
    MEASURED.labels("one").inc()
    measures.publish()
    with django_assert_num_queries(0):
        measures.publish()
    found = tallies.totals()
    assert found["outbound_test_measured_total", '{"word":"one"}'] == before + 3
    assert found["outbound_test_seconds_bucket", '{"le":"10.0"}'] == 1
    assert ("outbound_test_seconds_bucket", '{"le":"1.0"}') not in found
    assert found["outbound_test_seconds_sum", "{}"] == 5


@pytest.mark.django_db
def test_what_could_not_be_published_is_published_later(monkeypatch):
    measures.publish()
    MEASURED.labels("late").inc(4)
    with monkeypatch.context() as broken:
        broken.setattr(tallies, "write", lambda *_args, **_extra: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            measures.publish()
    measures.publish()
    assert tallies.totals()["outbound_test_measured_total", '{"word":"late"}'] == 4


@pytest.mark.django_db
@pytest.mark.core
def test_whole_numbers_and_others_are_written_together():
    tallies.write({("outbound_test_a", "{}"): 1, ("outbound_test_b", "{}"): 0.5}, common=True)
    assert tallies.totals("outbound_test_a", "outbound_test_b") == {
        ("outbound_test_a", "{}"): 1,
        ("outbound_test_b", "{}"): 0.5,
    }
