"""Many threads that write at the same moment share one call; none waits for another's fault."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, transaction

from orgs import shared_commit
from orgs.shared_commit import Room, SharedCommit
from tests.e2e.stack import wait_until

pytestmark = pytest.mark.core

THREADS = 12


class Writer:
    """Answers with the double; the first call waits until all others have come."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        assert self.open.wait(10)
        if 13 in items:
            message = "thirteen"
            raise ValueError(message)
        if -1 in items:
            raise SystemExit
        if -2 in items:
            return []
        if 0 in items:
            message = "away"
            raise OperationalError(message)
        return [item * 2 for item in items]


def submit_all(shared: SharedCommit[int, int], writer: Writer, items: Sequence[int]):
    """Submit the first item alone and the others while it is being written."""
    with ThreadPoolExecutor(len(items)) as pool:
        first = pool.submit(shared.submit, items[0])
        wait_until(lambda: writer.calls, 10, "the first call")
        others = [pool.submit(shared.submit, item) for item in items[1:]]
        wait_until(lambda: len(shared._waiting) == len(others), 10, "the others to wait")
        writer.open.set()
        return [first, *others]


def test_those_who_come_meanwhile_are_written_together():
    writer = Writer()
    shared = SharedCommit(writer, 100)
    results = submit_all(shared, writer, range(1, THREADS + 1))
    assert [result.result(10) for result in results] == [n * 2 for n in range(1, THREADS + 1)]
    assert [len(call) for call in writer.calls] == [1, THREADS - 1]


def test_a_call_takes_no_more_than_the_bound():
    writer = Writer()
    results = submit_all(SharedCommit(writer, 4), writer, range(1, THREADS + 1))
    assert sorted(result.result(10) for result in results) == [n * 2 for n in range(1, 13)]
    assert [len(call) for call in writer.calls] == [1, 4, 4, 3]


def test_a_call_takes_no_more_bytes_than_it_may_and_a_larger_item_goes_alone():
    writer = Writer()
    room = Room(lambda item: item, 10, 1_000)
    results = submit_all(SharedCommit(writer, 100, room), writer, [1, 4, 4, 4, 99, 2])
    assert sorted(result.result(10) for result in results) == [2, 4, 8, 8, 8, 198]
    # Threads come in any order: what holds is that no call but of a single item is larger.
    assert all(sum(call) <= 10 for call in writer.calls if len(call) > 1)
    assert [99] in writer.calls
    assert len(writer.calls) < 6


def test_what_goes_beyond_the_bytes_that_may_wait_is_refused_at_once():
    writer = Writer()
    shared = SharedCommit(writer, 100, Room(lambda item: item, 10, 30))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shared.submit, 20)
        wait_until(lambda: writer.calls, 10, "the first call")
        with pytest.raises(OperationalError, match="Too much"):
            shared.submit(11)
        second = pool.submit(shared.submit, 10)
        wait_until(lambda: shared._waiting, 10, "the second to wait")
        writer.open.set()
        assert (first.result(10), second.result(10)) == (40, 20)
    assert shared.submit(31) == 62  # alone even the largest has room


def test_more_threads_than_may_wait_are_refused_at_once(monkeypatch):
    monkeypatch.setattr(shared_commit, "MOST_WAITING", 0)
    with pytest.raises(OperationalError, match="Too much"):
        SharedCommit(Writer(), 100).submit(1)


def test_who_waits_too_long_gives_up_and_is_not_written(monkeypatch):
    monkeypatch.setattr(shared_commit, "PATIENCE_SECONDS", 0.05)
    writer = Writer()
    shared = SharedCommit(writer, 100)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shared.submit, 1)
        wait_until(lambda: writer.calls, 10, "the first call")
        with pytest.raises(OperationalError, match="too long"):
            shared.submit(2)
        writer.open.set()
        assert first.result(10) == 2
    assert writer.calls == [[1]]


def test_an_item_that_cannot_be_written_fails_alone():
    writer = Writer()
    results = submit_all(SharedCommit(writer, 100), writer, [1, 2, 13, 4])
    with pytest.raises(ValueError, match="thirteen"):
        results[2].result(10)
    assert [results[place].result(10) for place in (0, 1, 3)] == [2, 4, 8]


def test_a_database_that_is_away_fails_all_of_a_call_and_the_next_goes_on():
    writer = Writer()
    shared = SharedCommit(writer, 100)
    results = submit_all(shared, writer, [1, 2, 0, 4])
    for place in (1, 2, 3):
        with pytest.raises(OperationalError, match="away"):
            results[place].result(10)
    assert len(writer.calls) == 2
    assert shared.submit(21) == 42


@pytest.mark.parametrize("fault", [-1, -2], ids=["the writing thread ends", "answers are missing"])
def test_nobody_takes_for_written_what_was_not(fault):
    writer = Writer()
    shared = SharedCommit(writer, 100)
    results = submit_all(shared, writer, [1, fault, 3, 4])
    assert results[0].result(10) == 2
    for place in (1, 2, 3):
        assert isinstance(results[place].exception(10), (OperationalError, SystemExit, ValueError))
    assert shared.submit(21) == 42


@pytest.mark.django_db
def test_inside_a_transaction_an_item_is_written_by_its_own_thread():
    writer = Writer()
    writer.open.set()
    shared = SharedCommit(writer, 100)
    with transaction.atomic():
        shared._busy = True  # somebody else is writing: there is no waiting for them
        assert shared.submit(3) == 6
