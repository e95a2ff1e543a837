"""What is loaded at the start is not looked at by every collection."""

from __future__ import annotations

import gc

import pytest

from orgs import collector

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_loaded_is_left_out_of_collections():
    collector.settle()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == collector.YOUNG_OBJECTS


def test_rubbish_made_later_is_still_collected():
    collector.settle()

    class Node:
        pass

    one, other = Node(), Node()
    one.next, other.next = other, one
    del one, other
    assert gc.collect() >= 2
