from __future__ import annotations

from pathlib import Path

import pytest

from messaging import states
from messaging.admin.messages import COLOURS
from messaging.states import MOVES, Status

pytestmark = pytest.mark.core


def test_every_status_has_a_row_in_the_table():
    assert set(MOVES) == set(Status)


def test_every_status_has_a_colour_in_the_console():
    assert set(COLOURS) == set(Status)


def test_nothing_goes_back_from_delivered():
    assert MOVES[Status.DELIVERED] == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Status.SENT, Status.SENDING),
        (Status.QUEUED, Status.QUEUED),
        (Status.CANCELLED, Status.QUEUED),
        (Status.FAILED, Status.SENDING),
        (Status.SENDING, Status.CANCELLED),
    ],
)
def test_the_table_forbids(old, new):
    assert not states.can_move(old, new)


def test_the_documented_diagram_is_current():
    page = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{states.diagram()}```" in page
