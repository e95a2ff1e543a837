"""The one rule of the present answer: whatever the order in which decisions become known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from consent import history

pytestmark = pytest.mark.core

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    status: str
    source: str
    hour: int
    proof: dict[str, str] = field(default_factory=dict)

    @property
    def occurred_at(self) -> datetime:
        return AT + timedelta(hours=self.hour)


GRANT = Event("GRANTED", "api", 1)
STOP = Event("REVOKED", "person", 5)
START = Event("GRANTED", "person", 7)
META_STOP = Event("REVOKED", "provider", 5)
RESUME = Event("GRANTED", "provider", 7)
AGAIN = Event("GRANTED", "api", 9)
PROVEN = Event("GRANTED", "api", 9, {"form": "signed"})
IMPORTED = Event("GRANTED", "import", 9, {"form": "signed"})


@pytest.mark.parametrize(
    ("events", "holds"),
    [
        ([], None),
        ([GRANT], GRANT),
        ([GRANT, STOP], STOP),
        ([GRANT, STOP, START], START),
        ([GRANT, STOP, AGAIN], STOP),
        ([GRANT, STOP, PROVEN], PROVEN),
        ([GRANT, STOP, IMPORTED], STOP),
        ([GRANT, META_STOP], META_STOP),
        ([GRANT, META_STOP, AGAIN], META_STOP),
        ([GRANT, META_STOP, RESUME], GRANT),
        ([GRANT, META_STOP, PROVEN], PROVEN),
        # Taken back at Meta, but the person had also told us: ours stays.
        ([GRANT, STOP, META_STOP, RESUME], STOP),
        # Nothing was agreed to before: nothing comes back.
        ([META_STOP, RESUME], META_STOP),
        ([GRANT, Event("DENIED", "api", 3)], Event("DENIED", "api", 3)),
        ([Event("GRANTED", "person", 5), STOP], STOP),
        # A client, staff or a file that says no as well does not take the place of a STOP.
        ([STOP, Event("REVOKED", "api", 6)], STOP),
        ([STOP, Event("DENIED", "import", 6), IMPORTED], STOP),
        ([STOP, Event("REVOKED", "console", 6), AGAIN], STOP),
        ([STOP, Event("REVOKED", "api", 6), PROVEN], PROVEN),
    ],
)
def test_what_holds_follows_from_what_was_decided_in_any_order(events, holds):
    for order in itertools.permutations(events):
        assert history.present(order) == holds


def test_a_grant_recorded_before_a_late_stop_arrives_does_not_outlive_it():
    late_stop, routine = Event("REVOKED", "person", 5), Event("GRANTED", "api", 10)
    assert history.present([routine, late_stop]) == late_stop


def test_both_stops_are_known_beside_each_other():
    for order in itertools.permutations([GRANT, STOP, META_STOP]):
        assert history.stops(order) == [STOP, META_STOP]
    assert history.stops([GRANT, STOP, META_STOP, RESUME]) == [STOP]
    assert history.stops([GRANT, STOP, PROVEN]) == []
