"""What is handed from the shorter way to the view."""

from __future__ import annotations

import gc
import weakref

import pytest

from orgs import shortcut
from orgs.problems import Problem
from orgs.shortcut import Answer


def test_an_answer_found_is_given_once():
    meta = {shortcut.OUTCOME: Answer(401)}
    assert shortcut.outcome(meta) == Answer(401)
    assert shortcut.outcome(meta) is None


def test_a_refusal_is_gone_once_it_is_told():
    """Its traceback would otherwise hold the request, with its body, until the collector comes."""
    meta: dict[str, object] = {}

    def refuse() -> None:
        raise Problem(422, "invalid", "Invalid")

    try:
        refuse()
    except Problem as problem:
        meta[shortcut.OUTCOME], seen = problem, weakref.ref(problem)
    gc.disable()
    try:
        with pytest.raises(Problem) as raised:
            shortcut.outcome(meta)
        del raised
        assert seen() is None
    finally:
        gc.enable()
